package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"pgregory.net/rapid"
)

func request(size int) command.Request {
	return command.Request{Commands: []command.Args{{[]byte("SET"), []byte("k"), make([]byte, size)}}}
}

// told counts how often each call that is not waited for was told its results.
type told map[*call]int

func (t told) listen(p *pending) {
	for _, c := range p.finished {
		c.tell(c.results)
		t[c]++
	}
	p.finished = nil
}

func (t told) isDone(c *call) bool {
	if c.tell != nil {
		return t[c] == 1
	}
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Whatever happens to a member's requests on their way, each gets exactly one
// outcome, those without one are taken again after a rewind, and nothing is
// forgotten in the accounts.
func TestEveryRequestGetsOneOutcome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{WaitingRequests: 50, WaitingBytes: 20_000, RequestBytes: 5_000}.withDefaults()
		p := newPending([16]byte{1}, 7, table(), limits)
		type known struct {
			call *call
			pos  int
		}
		open := map[uint64]known{} // by sequence number
		calls := map[*call]int{}   // without an outcome
		asleep := false            // who takes them waits to be told
		told := told{}
		finish := func(seq uint64) {
			k := open[seq]
			delete(open, seq)
			calls[k.call]--
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				reqs := make([]command.Request, rapid.IntRange(1, 8).Draw(t, "n"))
				for i := range reqs {
					reqs[i] = request(rapid.SampledFrom([]int{0, 10, 1000, 6000}).Draw(t, "size"))
				}
				next := p.end
				var c *call
				if rapid.Bool().Draw(t, "waits") {
					c = p.add(reqs, time.Unix(1, 0))
				} else if c = p.start(reqs, time.Unix(1, 0), func([]command.Result) {}); c == nil {
					if p.end != next {
						t.Fatal("refused, and yet something was taken in")
					}
					return
				}
				seq := next
				for i := range reqs {
					switch err := c.results[i].Err; {
					case err == nil:
						open[seq] = known{c, i}
						calls[c]++
						seq++
					case !errors.Is(err, command.ErrTooLarge) && !errors.Is(err, command.ErrBusy):
						t.Fatalf("refused with %v", err)
					}
				}
				if seq != p.end {
					t.Fatalf("the numbers go to %d, want %d", p.end, seq)
				}
			},
			"take": func(t *rapid.T) {
				want := 0
				for seq := p.next; seq < p.end; seq++ {
					if _, ok := open[seq]; ok {
						want++
					}
				}
				_, items, _ := p.take(nil, 3000, 5)
				if (items == 0) != (want == 0) || items > want {
					t.Fatalf("took %d of %d", items, want)
				}
			},
			"ask": func(t *rapid.T) {
				select {
				case <-p.arrived:
				default:
				}
				asleep = !p.enoughBeside(rapid.IntRange(1, 4).Draw(t, "part"))
			},
			"rewind": func(t *rapid.T) {
				p.rewind()
				if p.waiting() != (len(open) > 0) {
					t.Fatalf("%d are open, waiting says %v", len(open), p.waiting())
				}
			},
			"done": func(t *rapid.T) {
				if p.next == 1 {
					t.Skip("nothing was taken yet")
				}
				seq := rapid.Uint64Range(1, p.next-1).Draw(t, "seq")
				p.Done([16]byte{1}, 7, seq, command.Result{Index: seq})
				p.Done([16]byte{2}, 7, seq, command.Result{Err: errNotLeader}) // another member's
				p.Done([16]byte{1}, 6, seq, command.Result{Err: errNotLeader}) // of an earlier start
				if k, ok := open[seq]; ok {
					finish(seq)
					if k.call.results[k.pos].Index != seq {
						t.Fatalf("request %d got the outcome %+v", seq, k.call.results[k.pos])
					}
				}
			},
			"give up": func(t *rapid.T) {
				for c := range calls {
					p.giveUp(c)
					for seq, k := range open {
						if k.call == c {
							finish(seq)
							if k.call.results[k.pos].Err == nil {
								t.Fatal("given up without a reason")
							}
						}
					}
					return
				}
			},
			"": func(t *rapid.T) {
				if asleep {
					select {
					case <-p.arrived:
						asleep = false
					default:
						waiting := 0
						for seq := range open {
							if seq >= p.next {
								waiting++
							}
						}
						if waiting > 0 && waiting == len(open) {
							t.Fatalf("%d requests wait, nothing is under way, and nobody is told", waiting)
						}
					}
				}
				told.listen(p)
				for c, left := range calls {
					if told.isDone(c) != (left == 0) {
						t.Fatalf("a call with %d requests open is done: %v", left, told.isDone(c))
					}
					if left == 0 {
						delete(calls, c)
					}
				}
				if count, bytes := p.load(); count != len(open) || (bytes == 0) != (count == 0) {
					t.Fatalf("%d requests of %d bytes in the accounts, %d are open", count, bytes, len(open))
				}
			},
		})
	})
}

func TestTheReasonTellsWhetherItMayHaveHappened(t *testing.T) {
	p := newPending([16]byte{}, 1, table(), Limits{}.withDefaults())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	unsent := p.add([]command.Request{request(1)}, time.Now().Add(time.Hour))
	if err := p.wait(ctx, unsent)[0].Err; !errors.Is(err, command.ErrNoLeader) {
		t.Errorf("what nobody took failed with %v", err)
	}
	sent := p.add([]command.Request{request(1)}, time.Now().Add(time.Hour))
	p.take(nil, 1000, 10)
	if err := p.wait(ctx, sent)[0].Err; !errors.Is(err, command.ErrUnknownOutcome) {
		t.Errorf("what was taken failed with %v", err)
	}
	late := p.add([]command.Request{request(1)}, time.Now())
	p.expire(time.Now().Add(time.Second))
	if err := p.wait(t.Context(), late)[0].Err; !errors.Is(err, command.ErrNoLeader) {
		t.Errorf("what waited too long failed with %v", err)
	}
	p.shut()
	if err := p.add([]command.Request{request(1)}, time.Now()).results[0].Err; !errors.Is(err, command.ErrClosing) {
		t.Errorf("after closing a request failed with %v", err)
	}
}

func TestTooMuchIsRefusedAtAdmission(t *testing.T) {
	p := newPending([16]byte{}, 1, table(), Limits{WaitingRequests: 3, RequestBytes: 1000}.withDefaults())
	deadline := time.Now().Add(time.Hour)
	for range 3 {
		if c := p.add([]command.Request{request(1)}, deadline); (told{}).isDone(c) {
			t.Fatalf("refused: %v", c.results[0].Err)
		}
	}
	if err := p.add([]command.Request{request(1)}, deadline).results[0].Err; !errors.Is(err, command.ErrBusy) {
		t.Errorf("the fourth of three got %v", err)
	}
	if err := p.add([]command.Request{request(2000)}, deadline).results[0].Err; !errors.Is(err, command.ErrTooLarge) {
		t.Errorf("a large request got %v", err)
	}
}
