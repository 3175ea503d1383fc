package core

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxDeadLetters is how many dead letters of a consumer are kept; the oldest
// go first.
const maxDeadLetters = 10_000

// maxDeadReason is how much of the reason is kept, in bytes.
const maxDeadReason = 1_024

func keyDead(site, consumer string) string { return prefixSite + site + ":dead:" + consumer }

// DeadLetter is an event that a consumer gave up on. It carries a copy of the
// event, which outlives the site's stream.
type DeadLetter struct {
	Event  Event  `json:"event"`
	Reason string `json:"reason"` // of the last attempt
	DiedAt int64  `json:"died_at"`
}

// EventDead keeps an event that a consumer gave up on as a dead letter.
type EventDead struct {
	Site, Consumer string
	Seq            int64
	Reason         string
}

func (r EventDead) Args() command.Args {
	return build("EVENT.DEAD", r.Site, r.Consumer, strconv.FormatInt(r.Seq, 10), r.Reason).args
}

func (EventDead) Result(r command.Reply) error { return resultOK(r) }

// DeadLetters reads the newest limit dead letters of a consumer, newest
// first.
func DeadLetters(tx *keyspace.Tx, site, consumer string, limit int) ([]DeadLetter, error) {
	out := []DeadLetter{}
	var broken error
	err := tx.XEach([]byte(keyDead(site, consumer)), keyspace.StreamID{}, lastID, true, func(id keyspace.StreamID, fields [][]byte) bool {
		if len(out) == limit {
			return false
		}
		letter := DeadLetter{DiedAt: int64(id.Ms)}
		for i := 0; i+1 < len(fields); i += 2 {
			switch string(fields[i]) {
			case "event":
				broken = json.Unmarshal(fields[i+1], &letter.Event)
			case "reason":
				letter.Reason = string(fields[i+1])
			}
		}
		out = append(out, letter)
		return broken == nil
	})
	if err == nil && broken != nil {
		err = fmt.Errorf("reading a dead letter of %s: %w", consumer, broken)
	}
	return out, err
}

// deadCommands are the commands on dead letters.
func deadCommands() []command.Spec {
	return []command.Spec{{
		Name: "EVENT.DEAD", Arity: 5, Flags: command.Write | command.Module, Group: "module", Since: "0.1.0",
		Summary:    "Keeps an event that a consumer gave up on as a dead letter.",
		Categories: []string{"write", "event"},
		Args: []command.Arg{
			{Name: "site", Type: "string"}, {Name: "consumer", Type: "string"},
			{Name: "seq", Type: "integer"}, {Name: "reason", Type: "string"},
		},
		Run: runEventDead,
	}}
}

// runEventDead is EVENT.DEAD site consumer seq reason.
func runEventDead(c *command.Call, args [][]byte) (command.Reply, error) {
	site, consumer, reason := string(args[1]), string(args[2]), string(args[4])
	seq, err := strconv.ParseInt(string(args[3]), 10, 64)
	if err != nil || seq < 1 {
		return command.Reply{}, fail(CodeInvalid, "seq is %q; it must be a whole number from 1 to %d", clip(string(args[3]), 40), int64(math.MaxInt64))
	}
	events, err := ReadEvents(c.Tx, site, seq-1, 1)
	if err != nil {
		return command.Reply{}, err
	}
	if len(events) == 0 || events[0].Seq != seq {
		return command.Reply{}, fail(CodeNotFound, "site %q has no event %d", clip(site, 80), seq)
	}
	key := []byte(keyDead(site, consumer))
	last, err := c.XLast(key)
	if err != nil {
		return command.Reply{}, err
	}
	id := keyspace.StreamID{Ms: uint64(c.Now)}
	if last.Ms >= id.Ms {
		id = keyspace.StreamID{Ms: last.Ms, Seq: last.Seq + 1}
	}
	fields := [][]byte{[]byte("event"), []byte(toJSON(events[0])), []byte("reason"), []byte(clip(reason, maxDeadReason))}
	if err := c.XAdd(key, id, fields); err != nil {
		return command.Reply{}, err
	}
	return command.OK, trimDead(c.Tx, key)
}

// trimDead drops the oldest dead letter if there are too many.
func trimDead(tx *keyspace.Tx, key []byte) error {
	n, err := tx.XLen(key)
	if err != nil || n <= maxDeadLetters {
		return err
	}
	var second keyspace.StreamID
	seen := 0
	err = tx.XEach(key, keyspace.StreamID{}, lastID, false, func(id keyspace.StreamID, _ [][]byte) bool {
		second = id
		seen++
		return seen < 2
	})
	if err != nil {
		return err
	}
	_, err = tx.XTrimMin(key, second, 1)
	return err
}
