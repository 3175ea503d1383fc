package node

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
)

// DumpedEntry is a log entry for people.
type DumpedEntry struct {
	Index      uint64          `json:"index"`
	Term       uint64          `json:"term"`
	Type       string          `json:"type"`                  // command, configuration, noop, barrier
	AppendedAt int64           `json:"appended_at,omitempty"` // by the leader's wall clock, ms since 1970
	Bytes      int             `json:"bytes"`
	Time       int64           `json:"time,omitempty"` // the group's time that the commands have, ms since 1970
	Seed       uint64          `json:"seed,omitempty"`
	Requests   []DumpedRequest `json:"requests,omitempty"`
	Members    []FolderMember  `json:"members,omitempty"` // of a configuration
	Damage     string          `json:"damage,omitempty"`  // why it cannot be read
}

// DumpedRequest is one client's request in a log entry.
type DumpedRequest struct {
	Member   string   `json:"member"` // the node that took it
	Boot     uint64   `json:"boot"`   // which start of that node
	Seq      uint64   `json:"seq"`    // the request, counted by that start
	DB       int      `json:"db"`
	Watches  int      `json:"watches,omitempty"` // keys that must not have changed
	Commands [][]Word `json:"commands"`
}

// Word is an argument of a command, with what must not be shown left out.
type Word string

const hidden Word = "(hidden)"

// DumpOptions say what of a log is shown.
type DumpOptions struct {
	From, To uint64 // indexes, both included; 0: from the first, to the last
	Secrets  bool   // show passwords, keys and tokens too
}

// LogRange is what a log holds; both 0: nothing.
type LogRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// DumpLog calls fn for the entries in the log of a member that does not run,
// in order, until fn fails. It changes nothing. An entry that is damaged is
// shown as such; the error is for a log that cannot be read on.
func DumpLog(dir string, o DumpOptions, fn func(DumpedEntry) error) (r LogRange, err error) {
	if _, err := readIdentity(dir); err != nil {
		return r, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return r, err
	}
	defer lock.Close()
	v, err := openLogView(dir)
	if err != nil {
		return r, err
	}
	defer v.Close()
	r = LogRange{First: v.first, Last: v.last}
	if o.From > v.last || o.To != 0 && o.To < v.first {
		return r, fail(CodeInvalid, fmt.Sprintf("the log holds entries %d to %d", v.first, v.last))
	}
	from, to := max(o.From, v.first), v.last
	if o.To != 0 {
		to = min(o.To, to)
	}
	for index := from; index <= to && index > 0; index++ {
		l := new(raft.Log)
		if err := v.GetLog(index, l); err != nil {
			return r, fail(CodeDamaged, fmt.Sprintf("log entry %d cannot be read: %v", index, err))
		}
		if err := fn(dumped(l, o.Secrets)); err != nil {
			return r, err
		}
	}
	return r, nil
}

func dumped(l *raft.Log, secrets bool) DumpedEntry {
	e := DumpedEntry{Index: l.Index, Term: l.Term, Type: entryType(l.Type), Bytes: len(l.Data)}
	if !l.AppendedAt.IsZero() {
		e.AppendedAt = l.AppendedAt.UnixMilli()
	}
	switch l.Type {
	case raft.LogConfiguration:
		for _, s := range configurationOf(l.Data).Servers {
			e.Members = append(e.Members, FolderMember{ID: string(s.ID), Cluster: string(s.Address), Voter: s.Suffrage == raft.Voter})
		}
	case raft.LogCommand:
		entry, err := raftfsm.DecodeEntry(l.Data)
		if err != nil {
			e.Damage = err.Error()
			return e
		}
		e.Time, e.Seed = entry.LeaderTime, entry.Seed
		for _, it := range entry.Items {
			e.Requests = append(e.Requests, dumpedRequest(&it, secrets))
		}
	}
	return e
}

func entryType(t raft.LogType) string {
	switch t {
	case raft.LogCommand:
		return "command"
	case raft.LogConfiguration:
		return "configuration"
	case raft.LogNoop:
		return "noop"
	case raft.LogBarrier:
		return "barrier"
	}
	return fmt.Sprintf("type %d", t)
}

func dumpedRequest(it *raftfsm.Item, secrets bool) DumpedRequest {
	r := DumpedRequest{
		Member: uuid.UUID(it.Origin).String(), Boot: it.Boot, Seq: it.Seq,
		DB: int(it.Request.DB), Watches: len(it.Request.Watches),
	}
	for _, args := range it.Request.Commands {
		words := make([]Word, len(args))
		for i, a := range args {
			words[i] = Word(a)
		}
		if !secrets {
			hideSecrets(words)
		}
		r.Commands = append(r.Commands, words)
	}
	return r
}

// hideSecrets leaves out what opens something: what is written to secret keys,
// what follows the word for a password, what a group is formed with.
func hideSecrets(words []Word) {
	after := len(words) // hide from here on
	for i, w := range words {
		switch text := strings.ToUpper(string(w)); {
		case i >= after:
			words[i] = hidden
		case i == 0 && (text == "SYSTEM.INIT" || text == "SYSTEM.SETUP"):
			after = 1
		case i == 0 && text == "SESSION.CREATE":
			after = 2
		case i > 0 && strings.HasPrefix(string(w), "secret:"):
			after = i + 1
		case strings.HasPrefix(text, "PASSWORD") && i+1 < len(words):
			defer func() { words[i+1] = hidden }()
		}
	}
}

// When is the time of an entry for people.
func (e DumpedEntry) When() string {
	at := e.Time
	if at == 0 {
		at = e.AppendedAt
	}
	if at == 0 {
		return "-"
	}
	return time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z")
}
