package resp

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// later are templates of commands that 7.0 has and later versions answer
// otherwise: with such a server only the others are compared.
func later(template string) bool {
	return !strings.Contains(template, "$H") && !strings.Contains(template, "$A $A") && !strings.Contains(template, "PIRE") && !strings.Contains(template, "{ $A }") &&
		!strings.HasPrefix(template, "SET ") && !strings.HasPrefix(template, "SELECT")
}

// TestDifferentialOverSockets runs random commands on a group of one and on a
// real server: one by one, in pipelines and in transactions, in both versions of
// the protocol, while keys and fields expire. PARLOR_DIFFERENTIAL sets how many
// commands.
func TestDifferentialOverSockets(t *testing.T) {
	real := redistest.Start(t)
	total, seed := redistest.Game(t, 6000)
	srv := startServer(t, Config{}, startNode(t))
	mine := redistest.Dial(t, srv.Addr().Network(), srv.Addr().String())
	others := [2]*redistest.Conn{mine.Again(), real.Again()}

	play := redistest.Templates
	if real.Has("HEXPIRE") {
		play = slices.DeleteFunc(slices.Clone(play), later)
	}
	m := &redistest.Maker{R: rand.New(rand.NewPCG(seed, 1)), Base: time.Now().Unix()/100*100 + 100_000}
	for round := 0; total > 0; round++ {
		d := &redistest.Duel{T: t, Ours: mine, Theirs: real, Proto: 2 + round%2}
		for _, c := range []*redistest.Conn{mine, real, others[0], others[1]} {
			c.Do("HELLO", strconv.Itoa(d.Proto))
		}
		mine.Do("FLUSHALL")
		real.Do("FLUSHALL")
		for left := min(total, 1000); left > 0; {
			n := 1 + m.R.IntN(40)
			switch m.R.IntN(8) {
			case 0, 1, 2:
				d.Transaction(m, play, min(n, 12), others)
			case 3:
				n = 1
				d.Run(m.Command(m.Pick(play...)))
			case 4:
				if n = 1; m.R.IntN(5) == 0 {
					d.Expire(m)
				}
			default:
				d.Pipeline(m, play, n)
			}
			left -= n
			total -= n
		}
		d.Settle()
	}
}
