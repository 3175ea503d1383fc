package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
)

// An upgrade is one program after the other, and then, once, an operator's
// word that there is no way back: finalize. Until then the group works at the
// feature level that it had (storage/command), which the older program knows.
// Whoever does not support the group's level does not take part: not at the
// start, not by joining, and not in the middle, where the state machine stops.

// Upgrade tells how far an upgrade of the group is.
type Upgrade struct {
	Level   int             `json:"level"`   // that the group works at
	Newest  int             `json:"newest"`  // the highest that a member's program supports
	Ready   bool            `json:"ready"`   // finalize would raise the level to Newest
	Hinders []string        `json:"hinders"` // what there is to do before that
	Members []UpgradeMember `json:"members"`
}

// UpgradeMember is what one member's program can do.
type UpgradeMember struct {
	ID        string             `json:"id"`
	Name      string             `json:"name,omitempty"`
	Version   string             `json:"version,omitempty"`
	Levels    command.LevelRange `json:"levels"` // as last heard, if it does not answer
	Voter     bool               `json:"voter"`
	Leader    bool               `json:"leader"`
	Reachable bool               `json:"reachable"`
}

// levels is what this member's program supports.
func (n *Node) levels() command.LevelRange { return n.opt.Table.Levels() }

// checkLevel says whether a program can be a member of a group.
func checkLevel(supported command.LevelRange, level int, program string) error {
	supported = supported.OrFirst()
	switch {
	case level > supported.Newest:
		return fail(CodeNewer, fmt.Sprintf("the group is at feature level %d, %s supports %s: use the newer program; an upgrade that was finalized is not taken back. Nothing was changed", level, program, supported))
	case level < supported.Oldest:
		return fail(CodeOlder, fmt.Sprintf("the group is at feature level %d, %s supports %s: let all nodes run a program that supports both first, and run parlor cluster upgrade finalize there. Nothing was changed", level, program, supported))
	}
	return nil
}

// checkOwnLevel refuses to work on the data of a group that this program does
// not support.
func (n *Node) checkOwnLevel(level int) error {
	return checkLevel(n.levels(), level, "this program"+versionText(n.opt.Version))
}

func versionText(version string) string {
	if version == "" {
		return ""
	}
	return " (" + version + ")"
}

// Level is the group's feature level, as of Applied.
func (n *Node) Level() int { return n.fsm.Level() }

// Upgrade asks all members what their programs support.
func (n *Node) Upgrade(ctx context.Context) Upgrade {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	u := Upgrade{Level: n.Level(), Newest: n.Level(), Hinders: []string{}}
	s := n.Local()
	n.ask(ctx, s.Members)
	for _, m := range s.Members {
		um := UpgradeMember{ID: m.ID, Name: m.Name, Version: m.Version, Levels: m.levels.OrFirst(), Voter: m.Voter, Leader: m.Leader, Reachable: m.Reachable}
		u.Newest = max(u.Newest, um.Levels.Newest)
		u.Members = append(u.Members, um)
	}
	for _, m := range u.Members {
		who := m.ID[:min(len(m.ID), 8)]
		if m.Name != "" {
			who += " (" + m.Name + ")"
		}
		switch {
		case !m.Levels.Has(u.Newest):
			u.Hinders = append(u.Hinders, fmt.Sprintf("node %s runs program %s, which supports feature level %s: install the newer one", who, cmp.Or(m.Version, "of an unknown version"), m.Levels))
		case !m.Reachable:
			u.Hinders = append(u.Hinders, fmt.Sprintf("node %s does not answer: start it with the newer program, or take it out with parlor cluster remove", who))
		}
	}
	u.Ready = u.Newest > u.Level && len(u.Hinders) == 0
	return u
}

// finalize raises the group's level to the highest that there is. The leader
// does it. If the group is there already, nothing is to be done.
func (n *Node) finalize(ctx context.Context, _ string, _ bool) error {
	n.changing.Lock() // nobody joins meanwhile
	defer n.changing.Unlock()
	u := n.Upgrade(ctx)
	switch {
	case u.Newest == u.Level:
		return nil
	case !u.Ready:
		text := u.Hinders[0]
		if more := len(u.Hinders) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more: parlor cluster upgrade status)", more)
		}
		return fail(CodeNotReady, fmt.Sprintf("the group stays at feature level %d: %s", u.Level, text))
	}
	if err := n.write(ctx, raiseLevel(u.Newest)); err != nil {
		return err
	}
	n.log.Warn("the upgrade is final: the group was raised to another feature level, older programs cannot take part any more", "from", u.Level, "to", u.Newest)
	return nil
}

func raiseLevel(level int) command.Args { return command.New("SYSTEM.LEVEL", strconv.Itoa(level)) }

// followLevel keeps the group's level in the data folder, where a program that
// does not support it sees it before it touches anything.
func (n *Node) followLevel() {
	level := n.Level()
	if n.levelSeen.Swap(int64(level)) == int64(level) {
		return
	}
	n.background(func() {
		if err := n.keep(func(id *Identity) { id.Level = max(id.Level, level) }); err != nil {
			n.log.Warn("keeping the group's feature level in the data folder", "err", err)
		}
	})
}

// infoOf is what the group has written down of a member.
func (n *Node) infoOf(id string) (info memberInfo) {
	_ = json.Unmarshal(n.field(membersKey, id), &info) // who has none is unknown
	return info
}

// supportsLevel refuses a member whose program cannot be one's of this group.
func (n *Node) supportsLevel(info memberInfo) error {
	return checkLevel(info.Levels, n.Level(), "the program of node "+info.ID+versionText(info.Version))
}
