package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// While a member has too little room, all members refuse what makes the data
// grow: a full disk ends a process, and those that follow one log fill up one
// after the other. The alarm is in the replicated state, so that all members
// agree and a change of leader changes nothing. Removing, expiring and what
// the group writes for itself goes on, or nobody could get out of it.

// Alarm says that a member has too little room.
type Alarm struct {
	Member string    `json:"member"` // node id
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"` // for people: what has too little, and how much
}

// callRoom tells the leader that the caller has too little room, or enough.
const callRoom = "room"

type roomReport struct {
	Reason string `json:"reason"` // "": there is enough
}

// Alarms are those that are on, by member. While there is one, Propose refuses
// with command.ErrNoSpace what has not the flag WhenFull.
func (n *Node) Alarms() []Alarm {
	if a := n.alarms.Load(); a != nil {
		return *a
	}
	return nil
}

// reportRoom tells the leader how this member is off.
func (n *Node) reportRoom(ctx context.Context, reason string) error {
	return n.atLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == n.id.NodeID {
			return n.setAlarm(ctx, leader, reason)
		}
		return n.calls.call(ctx, leader, callRoom, roomReport{reason}, &struct{}{})
	})
}

func (n *Node) answerRoom(ctx context.Context, peer string, body []byte) (any, error) {
	var report roomReport
	if err := json.Unmarshal(body, &report); err != nil {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	if !n.isMember(peer) {
		return nil, fail(CodeNotMember, "the group has no member "+peer)
	}
	return struct{}{}, n.setAlarm(ctx, peer, report.Reason)
}

// setAlarm is done by the leader: it raises a member's alarm or, without a
// reason, ends it.
func (n *Node) setAlarm(ctx context.Context, id, reason string) error {
	if n.lead.term.Load() == 0 {
		return errNotLeader
	}
	raised := n.field(alarmsKey, id) != nil
	if raised == (reason != "") {
		return nil
	}
	write := unmark(alarmsKey, id)
	if reason != "" {
		a, err := json.Marshal(Alarm{Member: id, Since: time.UnixMilli(n.readClock()).UTC(), Reason: reason})
		if err != nil {
			return fmt.Errorf("encoding an alarm: %w", err)
		}
		write = command.New("HSET", alarmsKey, id, string(a))
	}
	if err := n.write(ctx, write); err != nil {
		return err
	}
	n.heedAlarms()
	return nil
}

// heedAlarms makes this member do what the state says about alarms.
func (n *Node) heedAlarms() {
	var now []Alarm
	for _, s := range n.servers() {
		b := n.field(alarmsKey, string(s.ID))
		if b == nil {
			continue
		}
		var a Alarm
		if json.Unmarshal(b, &a) != nil {
			a.Reason = "the record of it cannot be read"
		}
		a.Member = string(s.ID)
		now = append(now, a)
	}
	before := n.Alarms()
	if slices.Equal(now, before) {
		return
	}
	n.alarms.Store(&now)
	for _, a := range now {
		if !hasAlarm(before, a.Member) {
			n.log.LogAttrs(n.ctx, slog.LevelError, "a member has too little room: the group takes only what makes room", slog.String("member", a.Member), slog.String("reason", a.Reason), slog.Time("since", a.Since))
		}
	}
	for _, a := range before {
		if !hasAlarm(now, a.Member) {
			n.log.LogAttrs(n.ctx, slog.LevelInfo, "a member has enough room again, or is none any more", slog.String("member", a.Member), slog.Int("alarms_left", len(now)))
		}
	}
}

func hasAlarm(list []Alarm, id string) bool {
	return slices.ContainsFunc(list, func(a Alarm) bool { return a.Member == id })
}

// alarmOf is why a member's alarm is on, "" if it is not.
func (n *Node) alarmOf(id string) string {
	for _, a := range n.Alarms() {
		if a.Member == id {
			return a.Reason
		}
	}
	return ""
}

// proposeRoomMaking proposes those requests that are carried out while there
// is an alarm, and refuses the others.
func (n *Node) proposeRoomMaking(ctx context.Context, reqs []command.Request, deadline time.Time) []command.Result {
	results := make([]command.Result, len(reqs))
	var admitted []command.Request
	var at []int
	for i := range reqs {
		if n.makesRoom(&reqs[i]) {
			admitted, at = append(admitted, reqs[i]), append(at, i)
			continue
		}
		results[i].Err = command.ErrNoSpace
		n.metrics.noSpace.Inc()
		n.metrics.refused.Inc()
	}
	if len(admitted) == 0 {
		return results
	}
	for i, r := range n.carryOut(ctx, admitted, deadline) {
		results[at[i]] = r
	}
	return results
}

// makesRoom says whether a request may be carried out while there is too
// little room. One whose commands are partly refused is refused as a whole.
func (n *Node) makesRoom(r *command.Request) bool {
	return !slices.ContainsFunc(r.Commands, func(args command.Args) bool {
		if len(args) == 0 {
			return false // is refused for what it is
		}
		spec := n.opt.Table.Find(args[0])
		return spec != nil && !spec.Is(command.WhenFull) && !ownKeys(spec.Keys(args))
	})
}

// ownKeys says whether all keys are of the group itself: members, certificates,
// users, alarms. Clients cannot write them.
func ownKeys(keys [][]byte) bool {
	for _, k := range keys {
		if !strings.HasPrefix(string(k), "system:") && !strings.HasPrefix(string(k), "secret:") {
			return false
		}
	}
	return len(keys) > 0
}

// forgiving is the leader's duty to end the alarms of members that do not
// answer: the group goes on without them, as it does without any that is down.
// They raise them again when they come back.
func (n *Node) forgiving(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	silent := map[string]time.Time{} // since when
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		for _, a := range n.Alarms() {
			if n.answers(ctx, a.Member) {
				delete(silent, a.Member)
				continue
			}
			since, known := silent[a.Member]
			if !known {
				silent[a.Member] = time.Now()
				continue
			}
			if time.Since(since) < n.opt.Timing.Forgive {
				continue
			}
			if err := n.setAlarm(ctx, a.Member, ""); err != nil && !errors.Is(err, context.Canceled) {
				n.complain("ending the alarm of a member that does not answer", a.Member, err)
			}
		}
	}
}

func (n *Node) answers(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return n.stateOf(ctx, id) != nil
}
