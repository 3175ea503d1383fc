package keyspace

// What happened to a key.
type What uint8

const (
	Made         What = iota // there was no such key
	Changed                  // there is another value, or another expiry
	Removed                  // by a command
	Expired                  // because its time had come
	ConsumerMade             // in a group of the stream
	Replaced                 // its database was emptied or exchanged: any key of any database; no Key
)

// Change is one thing that happened to a key. A command may do several to one
// key, such as removing what has expired before it makes it anew.
type Change struct {
	What   What
	DB     uint8
	Key    string
	Before int64 // elements of a list, set, hash, sorted set or stream
	After  int64
}

// Record makes a writing Tx keep what happens to keys, for Changes.
func (t *Tx) Record() { t.recording = true }

// Changes gives what happened to keys since the last call, in order, and
// forgets it. Nothing is kept before Record.
func (t *Tx) Changes() []Change {
	out := t.changes
	t.changes = nil
	return out
}

// recordReplaced records once that databases were emptied or exchanged, however
// many. To have it told is a change, even if no row is another.
func (t *Tx) recordReplaced() {
	if w, trying := t.w.(*trial); trying {
		w.change()
	}
	if n := len(t.changes); t.recording && (n == 0 || t.changes[n-1].What != Replaced) {
		t.changes = append(t.changes, Change{What: Replaced})
	}
}

func (t *Tx) record(what What, o *object, after int64) {
	t.changes = append(t.changes, Change{What: what, DB: databaseOf(o.slot), Key: string(o.key()), Before: o.storedCount, After: after})
}
