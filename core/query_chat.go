package core

import (
	"github.com/parlorchat/parlor/storage/keyspace"
)

// loadChat reads a chat's hash.
func loadChat(tx *keyspace.Tx, id string) (c Chat, ok bool, err error) {
	ok, err = load(tx, keyChat(id), &c)
	return c, ok, err
}

// GetChat reads a chat, with its position if it waits.
func GetChat(tx *keyspace.Tx, id string) (c Chat, ok bool, err error) {
	if c, ok, err = loadChat(tx, id); err != nil || !ok {
		return Chat{}, false, err
	}
	if c.Status == ChatWaiting {
		c.Position, err = position(tx, &c)
	}
	return c, true, err
}

// ChatFilter narrows ListChats; an empty field does not.
type ChatFilter struct{ Status, Agent, Department, Visitor string }

// ListChats reads a site's chats, newest first: those of one status; without
// a status the waiting, then the chatting, then the ended. cursor and limit
// are as in ListVisitors.
func ListChats(tx *keyspace.Tx, site string, f ChatFilter, cursor string, limit int) (chats []Chat, next string, err error) {
	chats = []Chat{}
	take := func(id string) (full bool, err error) {
		c, ok, err := GetChat(tx, id)
		if err != nil || !ok {
			return false, err
		}
		if c.Site == site && f.matches(&c) {
			chats = append(chats, c)
		}
		return len(chats) >= limit, nil
	}
	if f.Visitor != "" {
		next, err = pageThrough(tx, keyVisitorChats(f.Visitor), cursor, take)
		return chats, next, err
	}
	next, err = eachStatus(f.Status, cursor, func(status, cursor string) (string, error) {
		return pageThrough(tx, keySiteChats(site, status), cursor, take)
	})
	return chats, next, err
}

func (f *ChatFilter) matches(c *Chat) bool {
	return (f.Status == "" || c.Status == f.Status) &&
		(f.Agent == "" || c.Agent == f.Agent) &&
		(f.Department == "" || c.Department == f.Department) &&
		(f.Visitor == "" || c.Visitor == f.Visitor)
}

// ChatMessages reads up to limit messages with numbers above after, oldest
// first.
func ChatMessages(tx *keyspace.Tx, chat string, after int64, limit int) ([]Message, error) {
	out := []Message{}
	err := tx.XEach([]byte(keyChatMessages(chat)), seqID(max(after, 0)+1), lastID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		if len(out) == limit {
			return false
		}
		out = append(out, readMessage(id, fields))
		return true
	})
	return out, err
}

func readMessage(id keyspace.StreamID, fields [][]byte) Message {
	m := Message{Seq: int64(id.Ms)}
	for i := 0; i+1 < len(fields); i += 2 {
		value := string(fields[i+1])
		switch string(fields[i]) {
		case "id":
			m.ID = value
		case "from_type":
			m.From.Type = value
		case "from_id":
			m.From.ID = value
		case "from_name":
			m.From.Name = value
		case "type":
			m.Type = value
		case "text":
			m.Text = value
		case "at":
			m.At = unNum(value)
		case "client_id":
			m.ClientID = value
		}
	}
	return m
}

// Queue is where a waiting chat stands.
type Queue struct {
	Position int64 `json:"position"` // from 1
	// ETA is the expected wait in seconds; 0: nobody is online, unknown.
	ETA int64 `json:"eta_s,omitempty"`
}

// typicalChatMS stands in for a department's mean before its first chat ended.
const typicalChatMS = 5 * 60 * 1000

// QueuePosition says where a waiting chat stands in its department's queue;
// ok is false if it does not wait.
func QueuePosition(tx *keyspace.Tx, chat string) (q Queue, ok bool, err error) {
	c, ok, err := GetChat(tx, chat)
	if err != nil || !ok || c.Status != ChatWaiting {
		return Queue{}, false, err
	}
	d, _, err := GetDepartment(tx, c.Department)
	if err != nil {
		return Queue{}, false, err
	}
	a, err := departmentAvailability(tx, c.Department)
	if err != nil {
		return Queue{}, false, err
	}
	q.Position = c.Position
	if a.Capacity > 0 {
		mean := d.AvgChatMS
		if mean == 0 {
			mean = typicalChatMS
		}
		q.ETA = max(1, c.Position*mean/(a.Capacity*1000))
	}
	return q, true, nil
}

// position counts from 1 where a waiting chat stands.
func position(tx *keyspace.Tx, c *Chat) (int64, error) {
	rank, _, err := tx.ZRank([]byte(keyQueue(c.Department)), []byte(c.ID), false)
	return rank + 1, err
}
