package redis_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// Who trims roughly is left with what Redis leaves, as long as entries go from
// the beginning only.
func TestRoughTrimmingAsInRedis(t *testing.T) {
	server := redistest.Start(t)
	r := rand.New(rand.NewPCG(redistest.Seed(t), 0))
	for range 20 {
		o := newOurs()
		d := &redistest.Duel{T: t, Ours: &side{o, 2}, Theirs: server, Proto: 2, Verify: o.state.Verify}
		server.Do("FLUSHALL")
		id := 0
		number := func(n int) string { return strconv.Itoa(r.IntN(n)) }
		option := func() []string {
			words := []string{"MAXLEN", "~", number(900)}
			if r.IntN(2) == 0 {
				words = []string{"MINID", "~", number(id + 300)}
			}
			if r.IntN(3) == 0 {
				words = append(words, "LIMIT", number(500))
			}
			return words
		}
		for range 40 {
			for range r.IntN(120) {
				id++
				d.Run([]string{"XADD", "s", strconv.Itoa(id), "f", number(1000)})
			}
			switch r.IntN(4) {
			case 0:
				id++
				d.Run(append(append([]string{"XADD", "s"}, option()...), strconv.Itoa(id), "f", "v"))
			case 1:
				d.Run([]string{"XTRIM", "s", "MAXLEN", strconv.Itoa(1 + r.IntN(900))})
			default:
				d.Run(append([]string{"XTRIM", "s"}, option()...))
			}
			d.Run([]string{"XLEN", "s"})
			d.Run([]string{"XRANGE", "s", "-", "+", "COUNT", "1"})
			if server.Do("XLEN", "s").Int == 0 {
				break // Redis starts a node with the next entry
			}
		}
	}
}

func TestStreamsAreTrimmedRoughly(t *testing.T) {
	o := newOurs()
	for i := range 1000 {
		o.do("XADD", "s", strconv.Itoa(i+1), "f", "v")
		o.do("XADD", "kept", "MAXLEN", "~", "555", strconv.Itoa(i+1), "f", "v")
	}
	play(t, o, `
		XLEN kept => 600
		XTRIM s MAXLEN 555 => 445
		XTRIM s MAXLEN ~ 444 => 55
		XTRIM s MAXLEN ~ 444 => 0
		XTRIM s MAXLEN ~ 400 => 100
		XTRIM s MINID ~ 700 => 0
		XTRIM s MINID ~ 701 => 100
		XTRIM s MAXLEN ~ 0 LIMIT 99 => 0
		XTRIM s MAXLEN ~ 0 LIMIT 250 => 200
		XTRIM s MAXLEN ~ 0 LIMIT 0 => 100
		XLEN s => 0
		XADD s MAXLEN ~ 0 LIMIT 1 2000 f v => "2000-0"
		XLEN s => 0
		XADD s 2001 f v => "2001-0"
		XADD s 2002 f v => "2002-0"
		XADD s MAXLEN ~ 0 LIMIT 1 2003 f v => "2003-0"
		XLEN s => 3
	`)
}
