package redis_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// side is ours at the time of the wall, as a client reads it.
type side struct {
	*ours
	proto int
}

func (s *side) Do(args ...string) command.Reply {
	s.state.Now = time.Now().UnixMilli()
	return redistest.Wire(s.do(args...), s.proto)
}

func (s *side) Unwaiting(args ...string) command.Reply { return s.Do(args...) }

func (s *side) Select(db string) { s.db = db[0] - '0' }

// TestDifferential runs random commands here and on a real server
// and compares each reply. PARLOR_DIFFERENTIAL sets how many.
func TestDifferential(t *testing.T) {
	total, seed := redistest.Game(t, 30_000)
	server := redistest.Start(t)
	play := redistest.Templates
	if server.Has("HEXPIRE") {
		// It is a later version, which does other things differently than 7.0.
		play = slices.DeleteFunc(slices.Clone(redistest.Templates), func(s string) bool {
			return !strings.Contains(s, "$H") && !strings.Contains(s, "$A $A") && !strings.Contains(s, "DB") && !strings.Contains(s, "PIRE") && !strings.Contains(s, "MOVE $A") && !strings.Contains(s, "{ $A }")
		})
	}
	m := &redistest.Maker{R: rand.New(rand.NewPCG(seed, 0)), Base: time.Now().Unix()/100*100 + 100_000}
	for round := 0; total > 0; round++ {
		o := newOurs()
		d := &redistest.Duel{T: t, Ours: &side{o, 2 + round%2}, Theirs: server, Proto: 2 + round%2, Verify: o.state.Verify}
		server.Do("HELLO", strconv.Itoa(d.Proto))
		server.Do("FLUSHALL")
		for range min(total, 1000) {
			d.Run(m.Command(m.Pick(play...)))
			if m.R.IntN(1000) == 0 {
				d.Expire(m)
			}
		}
		d.Settle()
		total -= 1000
	}
}
