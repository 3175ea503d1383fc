package core

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxDeadLetters is how many dead letters of a consumer are kept; the oldest
// go first.
const maxDeadLetters = 10_000

const (
	maxDeadReason = 1_024 // bytes of a reason that are kept
	maxConsumer   = 128   // bytes of a consumer's name
)

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
	return []command.Spec{
		writes("EVENT.DEAD", "event", prefixSite, "Keeps an event that a consumer gave up on as a dead letter.", 5, runEventDead,
			key("site"), text("consumer"), integer("seq"), text("reason")),
	}
}

// runEventDead is EVENT.DEAD.
func runEventDead(s *step, args []string) (command.Reply, error) {
	site, err := s.site(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	consumer := args[2]
	if consumer == "" {
		return command.Reply{}, fail(CodeInvalid, "a consumer needs a name")
	}
	if err := checkText("the consumer's name", consumer, maxConsumer); err != nil {
		return command.Reply{}, err
	}
	seq, err := parseNumber("seq", args[3], 1, math.MaxInt64)
	if err != nil {
		return command.Reply{}, err
	}
	events, err := ReadEvents(s.Tx, site.ID, seq-1, 1)
	if err != nil {
		return command.Reply{}, err
	}
	if len(events) == 0 || events[0].Seq != seq {
		return command.Reply{}, fail(CodeNotFound, "site %q has no event %d", site.ID, seq)
	}
	return command.OK, s.keepDead([]byte(keyDead(site.ID, consumer)), &events[0], args[4])
}

// keepDead adds a dead letter, named after the time, and drops the oldest if
// there are too many.
func (s *step) keepDead(key []byte, e *Event, reason string) error {
	last, err := s.XLast(key)
	if err != nil {
		return err
	}
	id := keyspace.StreamID{Ms: uint64(s.Now)}
	if last.Ms >= id.Ms {
		id = keyspace.StreamID{Ms: last.Ms, Seq: last.Seq + 1}
	}
	reason = strings.ToValidUTF8(clip(reason, maxDeadReason), "")
	if err := s.XAdd(key, id, [][]byte{[]byte("event"), []byte(toJSON(e)), []byte("reason"), []byte(reason)}); err != nil {
		return err
	}
	return trimDead(s.Tx, key)
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
