package node

import (
	"context"
	"slices"
	"time"
)

// The group's time goes on with its leaders: a new one takes up what the one
// before has said, not what its own machine's clock shows, which somebody may
// have set. Where nobody knows the time, because all have just been started,
// the machines' clocks are asked, and the middle one counts.

// hearingTime is between two times that a member asks the leader for the time.
const hearingTime = 5 * time.Second

// askForTime bounds how long a new leader waits for the others to say what
// time it is. It asks only if it was just started.
const askForTime = 500 * time.Millisecond

// toldTime is what a member says of the time, in ms since 1970.
type toldTime struct {
	Group int64 `json:"group,omitempty"` // 0: it does not know
	Wall  int64 `json:"wall"`
}

// after is what a member would say some time later.
func (t toldTime) after(passed time.Duration) toldTime {
	t.Wall += passed.Milliseconds()
	if t.Group > 0 {
		t.Group += passed.Milliseconds()
	}
	return t
}

func (n *Node) tellTime() toldTime {
	told := toldTime{Wall: n.opt.wall().UnixMilli()}
	if ms, ok := n.readTime.known(); ok {
		told.Group = ms
	}
	return told
}

func (n *Node) answerTime(context.Context, string, []byte) (any, error) { return n.tellTime(), nil }

// takeUpTime sets the leader's clock at the beginning of its reign. It is never
// behind what the state machine has seen.
func (n *Node) takeUpTime(term uint64) {
	floor := n.db.State().Clock
	var told []toldTime
	if n.tellTime().Group == 0 && !n.onlyVoter() {
		told = n.askTime()
	}
	told = append(told, n.tellTime()) // after asking: that takes time
	n.clock.start(term, max(floor, agreeOnTime(told)))
	n.readTime.hear(n.clock.now(), 0)
}

// agreeOnTime gives the group's time by what members have said: the latest
// that one knows, else the middle one of their clocks; of two, the earlier.
func agreeOnTime(told []toldTime) int64 {
	var group int64
	var walls []int64
	for _, t := range told {
		group = max(group, t.Group)
		walls = append(walls, t.Wall)
	}
	if group > 0 {
		return group
	}
	slices.Sort(walls)
	return walls[(len(walls)-1)/2]
}

// askTime asks the others, and gives what they would say when it returns. It
// waits for one who knows, or for all, but no longer than askForTime.
func (n *Node) askTime() []toldTime {
	ctx, cancel := context.WithTimeout(n.ctx, askForTime)
	defer cancel()
	servers := n.raft.GetConfiguration().Configuration().Servers
	answers := make(chan *toldTime, len(servers))
	asked := 0
	for _, s := range servers {
		id := string(s.ID)
		if id == n.id.NodeID {
			continue
		}
		asked++
		go func() {
			var told toldTime
			if err := n.calls.call(ctx, id, callTime, nil, &told); err != nil {
				answers <- nil
				return
			}
			answers <- &told
		}()
	}
	var told []toldTime
	var received []time.Time
	for range asked {
		if t := <-answers; t != nil {
			told = append(told, *t)
			received = append(received, time.Now())
			if t.Group > 0 {
				break
			}
		}
	}
	for i, t := range told {
		told[i] = t.after(time.Since(received[i]))
	}
	return told
}

// hearing has this member know the group's time while it lives.
func (n *Node) hearing(ctx context.Context) {
	for {
		r := n.routes.get()
		if r.leader != "" {
			asking, cancel := context.WithTimeout(ctx, n.opt.Timing.Propose)
			_, _ = n.reads.index(asking) // who confirms an index says what time it is
			cancel()
		}
		select {
		case <-r.changed:
		case <-time.After(hearingTime):
		case <-ctx.Done():
			return
		}
	}
}
