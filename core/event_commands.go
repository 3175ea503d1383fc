package core

import (
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// maxTrim is how many events are removed at a time.
const maxTrim = 10_000

// maxScore is above every score of the domain's sorted sets.
var maxScore = math.Inf(1)

var eventReadWords = keywords{"AFTER": 1, "LIMIT": 1, "TYPE": 1}

// runEventRead is EVENT.READ.
func runEventRead(c *command.Call, args []string) (command.Reply, error) {
	o, err := eventReadWords.parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	after, limit, err := o.afterLimit()
	if err != nil {
		return command.Reply{}, err
	}
	if err := knownSite(c, args[1]); err != nil {
		return command.Reply{}, err
	}
	events, err := readEventsOf(c.Tx, args[1], after, limit, o.text("TYPE"))
	if err != nil {
		return command.Reply{}, err
	}
	replies := make([]command.Reply, len(events))
	for i, e := range events {
		replies[i] = replyFields(field{"seq", num(e.Seq)}, field{"type", e.Type}, field{"at", num(e.At)}, field{"site", e.Site},
			field{"visitor", e.Visitor}, field{"chat", e.Chat}, field{"agent", e.Agent}, field{"department", e.Department},
			field{"data", string(e.Data)})
	}
	return command.Array(replies...), nil
}

// runEventAck is EVENT.ACK.
func runEventAck(s *step, args []string) (command.Reply, error) {
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
	last, err := LastEvent(s.Tx, site.ID)
	if err != nil {
		return command.Reply{}, err
	}
	seq, err := parseNumber("seq", args[3], 0, last)
	if err != nil {
		return command.Reply{}, err
	}
	if at, ok, err := ConsumerCursor(s.Tx, site.ID, consumer); err != nil || ok && at.Seq >= seq {
		return command.OK, err
	}
	_, err = s.HSet([]byte(keyConsumers(site.ID)), []byte(consumer), []byte(toJSON(Cursor{Seq: seq, At: s.Now})))
	return command.OK, err
}

// runEventForget is EVENT.FORGET. The dead letters go too.
func runEventForget(s *step, args []string) (command.Reply, error) {
	removed, err := s.HDel([]byte(keyConsumers(args[1])), []byte(args[2]))
	dead := s.Delete([]byte(keyDead(args[1], args[2])))
	return command.Bool(removed || dead), err
}

// runEventTrim is EVENT.TRIM.
func runEventTrim(s *step, args []string) (command.Reply, error) {
	o, err := (keywords{"BELOW": 1}).parse(args[2:])
	if err != nil {
		return command.Reply{}, err
	}
	site, err := s.site(args[1])
	if err != nil {
		return command.Reply{}, err
	}
	below, err := o.number("BELOW", 0, 0, 1<<53)
	if err != nil {
		return command.Reply{}, err
	}
	needed, err := neededFrom(s.Tx, site.ID)
	if err != nil {
		return command.Reply{}, err
	}
	removed, err := s.XTrimMin([]byte(keyEvents(site.ID)), seqID(min(below, needed)), maxTrim)
	return command.Int(removed), err
}

// neededFrom gives the first event that some consumer has not done with; one
// above the newest if all have, or there are none.
func neededFrom(tx *keyspace.Tx, site string) (int64, error) {
	last, err := LastEvent(tx, site)
	if err != nil {
		return 0, err
	}
	consumers, err := Consumers(tx, site)
	needed := last + 1
	for _, c := range consumers {
		needed = min(needed, c.Seq+1)
	}
	return needed, err
}

// trimSlack is how many events too many a site may have before they are
// removed, so that not every tick removes a few.
const trimSlack = 1000

// retention gives the first event that a site is to keep; due says that
// enough others have come together to remove them.
func retention(tx *keyspace.Tx, id string) (keepFrom int64, due bool, err error) {
	var site Site
	if ok, err := load(tx, keySite(id), &site); err != nil || !ok {
		return 0, false, err
	}
	n, err := tx.XLen([]byte(keyEvents(id)))
	if err != nil || n < site.EventsKeep+trimSlack {
		return 0, false, err
	}
	last, err := LastEvent(tx, id)
	if err != nil {
		return 0, false, err
	}
	needed, err := neededFrom(tx, id)
	if err != nil {
		return 0, false, err
	}
	keepFrom = min(last-site.EventsKeep+1, needed)
	first, err := FirstEvent(tx, id)
	return keepFrom, err == nil && keepFrom-first >= trimSlack, err
}
