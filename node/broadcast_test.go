package node

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// heard collects broadcasts.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) take(payloads [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range payloads {
		h.said = append(h.said, string(p))
	}
}

func (h *heard) has(s string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.said, s)
}

func TestABroadcastReachesTheOthersAndNotOneself(t *testing.T) {
	g := form(t, 3, nil)
	var ears [3]heard
	var cancels [3]func()
	for i, m := range g.members {
		cancels[i] = m.OnBroadcast("typing", ears[i].take)
	}
	var elsewhere heard
	g.members[1].OnBroadcast("other", elsewhere.take)

	g.members[0].Broadcast("typing", []byte("anna writes"))
	g.wait("both others to hear", func() bool { return ears[1].has("anna writes") && ears[2].has("anna writes") })
	if ears[0].has("anna writes") || elsewhere.has("anna writes") {
		t.Error("it was heard where nobody should hear it")
	}

	// Who stopped listening hears no more; a dead member holds nobody up.
	cancels[1]()
	g.kill(2)
	g.members[0].Broadcast("typing", []byte("again"))
	g.members[1].Broadcast("typing", []byte("answer"))
	g.wait("the answer", func() bool { return ears[0].has("answer") })
	if ears[1].has("again") {
		t.Error("who stopped listening heard more")
	}
	// Too long for a broadcast: not sent at all, and what follows is.
	g.members[1].Broadcast("typing", make([]byte, BroadcastLimit+1))
	g.members[1].Broadcast("typing", []byte("short"))
	g.wait("the short one", func() bool { return ears[0].has("short") })
	if ears[0].has(string(make([]byte, BroadcastLimit+1))) {
		t.Error("a payload over the limit was sent")
	}
}

func TestANewLeaderResumesBeforeItTicks(t *testing.T) {
	// TICK counts itself only after RESUME has run under this leader.
	g := form(t, 3, func(o *Options) {
		specs := table().All()
		list := make([]command.Spec, 0, len(specs)+2)
		for _, s := range specs {
			list = append(list, *s)
		}
		count := func(key string) func(c *command.Call, _ [][]byte) (command.Reply, error) {
			return func(c *command.Call, _ [][]byte) (command.Reply, error) {
				v, _, err := c.Get([]byte(key))
				if err != nil {
					return command.Reply{}, err
				}
				n, _ := strconv.ParseInt(string(v), 10, 64)
				return command.OK, c.Set([]byte(key), strconv.AppendInt(nil, n+1, 10))
			}
		}
		list = append(list,
			command.Spec{Name: "RESUME", Arity: 1, Flags: command.Write, Run: count("resumed")},
			command.Spec{Name: "TICK", Arity: 1, Flags: command.Write, Run: func(c *command.Call, args [][]byte) (command.Reply, error) {
				if v, _, _ := c.Get([]byte("resumed")); len(v) == 0 {
					return command.OK, c.Set([]byte("early"), []byte("yes"))
				}
				return count("ticked")(c, args)
			}})
		o.Table = command.NewTable(list)
		o.Resume, o.Tick = command.New("RESUME"), command.New("TICK")
		o.Timing.Tick = 5 * time.Millisecond
	})
	g.wait("a tick", func() bool { return get(t, g.members[0], "ticked") != "" })
	before, _ := strconv.Atoi(get(t, g.members[0], "resumed"))
	g.kill(g.leader())
	g.wait("the next leader to resume", func() bool {
		for _, m := range g.members {
			if m != nil {
				now, _ := strconv.Atoi(get(t, m, "resumed"))
				return now > before
			}
		}
		return false
	})
	for _, m := range g.members {
		if m != nil && get(t, m, "early") != "" {
			t.Error("a leader ticked before it had resumed")
		}
	}
}

// What one member says is heard in its order, whatever the sizes.
func TestBroadcastsKeepTheirOrder(t *testing.T) {
	g := form(t, 3, nil)
	var ears [2]heard
	for i := range ears {
		g.members[i+1].OnBroadcast("news", ears[i].take)
	}
	const count = 3000
	want := make([]string, count)
	for i := range want {
		want[i] = strconv.Itoa(i) + ":" + strings.Repeat("x", i%2000)
		g.members[0].Broadcast("news", []byte(want[i]))
	}
	g.wait("the last word", func() bool { return ears[0].has(want[count-1]) && ears[1].has(want[count-1]) })
	for i := range ears {
		if !slices.Equal(ears[i].said, want) {
			t.Errorf("member %d heard %d of %d, or not in order", i+1, len(ears[i].said), count)
		}
	}
	g.members[0].Broadcast("news", make([]byte, BroadcastLimit))
	g.wait("the longest word", func() bool { return ears[0].has(string(make([]byte, BroadcastLimit))) })
}

// A batch that comes late or again is not heard, a damaged one is refused, and
// one of the member's next start is heard.
func TestABroadcastIsHeardOnce(t *testing.T) {
	n := &Node{broadcasts: newBroadcasts()}
	var ear heard
	n.OnBroadcast("news", ear.take)
	sender := newBroadcasts()
	batch := func(text string) []byte {
		sender.queue("me", note{"news", []byte(text)})
		return sender.batch("me")
	}
	first, second := batch("first"), batch("second")
	for _, body := range [][]byte{second, first, second} {
		if _, err := n.answerBroadcast(t.Context(), "peer", body); err != nil {
			t.Fatal(err)
		}
	}
	sender = newBroadcasts()
	if _, err := n.answerBroadcast(t.Context(), "peer", batch("restarted")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"second", "restarted"}; !slices.Equal(ear.said, want) {
		t.Errorf("heard %q, want %q", ear.said, want)
	}
	for _, body := range [][]byte{nil, make([]byte, 15), append(batch("x"), 200), append(batch("x"), 1)} {
		if _, err := n.answerBroadcast(t.Context(), "peer", body); err == nil {
			t.Errorf("a damaged batch of %d bytes was taken", len(body))
		}
	}
}

// What waits for a member that takes nothing is bounded.
func TestBroadcastsThatWaitAreBounded(t *testing.T) {
	b := newBroadcasts()
	payload := make([]byte, BroadcastLimit)
	taken := 0
	for range 100 {
		if _, lost := b.queue("gone", note{"news", payload}); !lost {
			taken++
		}
	}
	if size := taken * BroadcastLimit; size > broadcastQueue || size < broadcastQueue/2 {
		t.Errorf("%d bytes wait", size)
	}
	if lost := b.discard("gone"); lost != taken {
		t.Errorf("%d were forgotten, want %d", lost, taken)
	}
}
