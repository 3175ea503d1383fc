package resp

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// walkedStore counts long reads.
type walkedStore struct {
	Store
	walks atomic.Int64
}

func (s *walkedStore) Walk(fn func(tx *keyspace.Tx) error) error {
	s.walks.Add(1)
	return s.Store.Walk(fn)
}

// A leaderboard of many players, who win points all the time, answers as Redis
// does, and is not walked from an end for each question.
func TestLeaderboard(t *testing.T) {
	theirs := redistest.Start(t)
	store := &walkedStore{Store: startNode(t)}
	addr := startServer(t, Config{}, store).Addr()
	ours := redistest.Dial(t, addr.Network(), addr.String())
	rnd := rand.New(rand.NewPCG(1, 1))
	same := func(args ...string) {
		t.Helper()
		if got, want := redistest.Show(ours.Do(args...)), redistest.Show(theirs.Do(args...)); got != want {
			t.Fatalf("%q answers %.200s, Redis %.200s", args, got, want)
		}
	}
	const players = 6000
	add := []string{"ZADD", "board"}
	for i := range players {
		add = append(add, strconv.Itoa(rnd.IntN(1000)), fmt.Sprint("player", i))
	}
	same(add...)
	player := func() string { return fmt.Sprint("player", rnd.IntN(players+100)) }
	score := func() string { return []string{"", "("}[rnd.IntN(2)] + strconv.Itoa(rnd.IntN(1100)-50) }
	for range 1500 {
		from := rnd.IntN(players)
		switch rnd.IntN(10) {
		case 0:
			same("ZINCRBY", "board", strconv.Itoa(rnd.IntN(100)-20), player())
		case 1:
			same("ZREM", "board", player(), player())
		case 2:
			same("ZADD", "board", strconv.Itoa(rnd.IntN(1000)), player(), "-inf", player())
		case 3:
			same("ZPOPMIN", "board")
		case 4:
			same("ZRANK", "board", player())
		case 5:
			same("ZREVRANK", "board", player())
		case 6:
			same("ZCOUNT", "board", score(), score())
		case 7:
			same("ZCOUNT", "board", "-inf", score())
		case 8:
			same("ZRANGE", "board", strconv.Itoa(from), strconv.Itoa(from+rnd.IntN(30)), "WITHSCORES")
		default:
			same("ZREVRANGE", "board", strconv.Itoa(from-players/2), strconv.Itoa(from+rnd.IntN(30)-players/2))
		}
	}
	before := store.walks.Load() // until now it was walked to be counted, and for ranges of thousands
	for range 50 {
		same("ZRANK", "board", player())
		same("ZCOUNT", "board", score(), score())
		same("ZRANGE", "board", strconv.Itoa(players/2), strconv.Itoa(players/2+9))
	}
	if n := store.walks.Load() - before; n > 15 { // a few may come while a checkpoint begins
		t.Errorf("of 150 questions %d took long", n)
	}
}
