package core

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// ReadEvents reads up to limit events of a site with numbers above after,
// oldest first. Events below the site's first kept one are gone: see
// FirstEvent.
func ReadEvents(tx *keyspace.Tx, site string, after int64, limit int) ([]Event, error) {
	return readEventsOf(tx, site, after, limit, "")
}

// readEventsOf is ReadEvents for one type, or for all if typ is "".
func readEventsOf(tx *keyspace.Tx, site string, after int64, limit int, typ string) ([]Event, error) {
	out := []Event{}
	err := tx.XEach([]byte(keyEvents(site)), seqID(max(after, 0)+1), lastID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		if len(out) == limit {
			return false
		}
		if e := readEvent(site, id, fields); typ == "" || e.Type == typ {
			out = append(out, e)
		}
		return true
	})
	return out, err
}

// LastEvent gives the number of a site's newest event, 0 before the first.
func LastEvent(tx *keyspace.Tx, site string) (int64, error) {
	id, err := tx.XLast([]byte(keyEvents(site)))
	return int64(id.Ms), err
}

// FirstEvent gives the number of the oldest event that a site still has, 0 if
// it has none.
func FirstEvent(tx *keyspace.Tx, site string) (first int64, err error) {
	err = tx.XEach([]byte(keyEvents(site)), keyspace.StreamID{}, lastID, false, func(id keyspace.StreamID, _ [][]byte) bool {
		first = int64(id.Ms)
		return false
	})
	return first, err
}

// Cursor is a consumer's place in a site's events.
type Cursor struct {
	Consumer string `json:"-"`
	Seq      int64  `json:"seq"` // the last event that it has done with
	At       int64  `json:"at"`  // when it said so
}

// ConsumerCursor reads a consumer's place; ok is false if it never
// acknowledged anything.
func ConsumerCursor(tx *keyspace.Tx, site, consumer string) (c Cursor, ok bool, err error) {
	value, ok, err := tx.HGet([]byte(keyConsumers(site)), []byte(consumer))
	if err != nil || !ok {
		return Cursor{}, false, err
	}
	err = json.Unmarshal(value, &c)
	c.Consumer = consumer
	return c, err == nil, err
}

// Consumers gives the places of all consumers of a site's events, in the order
// of their names.
func Consumers(tx *keyspace.Tx, site string) ([]Cursor, error) {
	var out []Cursor
	var bad error
	err := tx.HEach([]byte(keyConsumers(site)), func(name, value []byte) bool {
		c := Cursor{}
		bad = json.Unmarshal(value, &c)
		c.Consumer = string(name)
		out = append(out, c)
		return bad == nil
	})
	slices.SortFunc(out, func(a, b Cursor) int { return strings.Compare(a.Consumer, b.Consumer) })
	return out, errors.Join(err, bad)
}

// Epoch names the history that event numbers belong to; it changes when a
// group is restored from a backup. It is "" before the group was formed.
func Epoch(tx *keyspace.Tx) (string, error) {
	value, _, err := tx.HGet([]byte(keyGroup), []byte("epoch"))
	return string(value), err
}

// TokenKey is the secret that visitor tokens are signed with; nil before the
// group was formed.
func TokenKey(tx *keyspace.Tx) ([]byte, error) {
	value, ok, err := tx.Get([]byte(keyTokenKey))
	if err != nil || !ok {
		return nil, err
	}
	return append([]byte(nil), value...), nil
}

// SetupPending says whether the one-time setup token was not used up yet.
func SetupPending(tx *keyspace.Tx) (bool, error) {
	_, ok, err := tx.Get([]byte(keySetup))
	return ok, err
}

func readEvent(site string, id keyspace.StreamID, fields [][]byte) Event {
	e := Event{Seq: int64(id.Ms), Site: site}
	for i := 0; i+1 < len(fields); i += 2 {
		value := string(fields[i+1])
		switch string(fields[i]) {
		case "type":
			e.Type = value
		case "at":
			e.At = unNum(value)
		case "visitor":
			e.Visitor = value
		case "chat":
			e.Chat = value
		case "agent":
			e.Agent = value
		case "department":
			e.Department = value
		case "data":
			e.Data = json.RawMessage(value)
		}
	}
	return e
}
