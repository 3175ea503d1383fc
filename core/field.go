package core

import (
	"encoding/json"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// field is one field of an object as its hash stores it. An empty value is
// not stored.
type field struct{ name, value string }

// object is what lives in a hash of its own.
type object interface {
	// fields gives the stored fields in the order in which they are shown.
	fields() []field
	// set takes a stored field over; unknown ones, of a later version, are
	// passed by.
	set(name, value string)
}

// load reads the hash at key into o; false if there is no such hash.
func load(tx *keyspace.Tx, key string, o object) (bool, error) {
	found := false
	err := tx.HEach([]byte(key), func(name, value []byte) bool {
		found = true
		o.set(string(name), string(value))
		return true
	})
	return found, err
}

// save writes what differs between the former fields of an object (nil: it is
// new) and its present ones. Both are in the order of fields.
func save(tx *keyspace.Tx, key string, before []field, o object) error {
	var set, cleared [][]byte
	for i, f := range o.fields() {
		was := ""
		if before != nil {
			was = before[i].value
		}
		switch {
		case was == f.value:
		case f.value == "":
			cleared = append(cleared, []byte(f.name))
		default:
			set = append(set, []byte(f.name), []byte(f.value))
		}
	}
	if len(set) > 0 {
		if _, err := tx.HSetAll([]byte(key), set); err != nil {
			return err
		}
	}
	if len(cleared) == 0 {
		return nil
	}
	_, err := tx.HDelAll([]byte(key), cleared)
	return err
}

// setHash writes fields to a hash.
func setHash(tx *keyspace.Tx, key string, fields ...field) error {
	_, err := tx.HSetAll([]byte(key), pairs(fields...))
	return err
}

// pairs gives names and values in turn, without those that are empty.
func pairs(fields ...field) [][]byte {
	out := make([][]byte, 0, 2*len(fields))
	for _, f := range fields {
		if f.value != "" {
			out = append(out, []byte(f.name), []byte(f.value))
		}
	}
	return out
}

// replyObject shows an object to a client of the Redis protocol: its stored
// fields, then those computed for this answer.
func replyObject(o object, computed ...field) command.Reply {
	var elems []command.Reply
	for _, list := range [][]field{o.fields(), computed} {
		for _, f := range list {
			if f.value != "" {
				elems = append(elems, command.BulkString(f.name), command.BulkString(f.value))
			}
		}
	}
	return command.Map(elems...)
}

// num stores a number or a time that 0 says nothing about.
func num(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// count stores a number whose 0 is worth showing.
func count(n int64) string { return strconv.FormatInt(n, 10) }

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func list(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return toJSON(items)
}

func unList(value string) []string {
	var items []string
	if json.Unmarshal([]byte(value), &items) != nil {
		return nil
	}
	return items
}

func raw(value string) json.RawMessage {
	if value == "" || !json.Valid([]byte(value)) {
		return nil
	}
	return json.RawMessage(value)
}

func unNum(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
