package storage

// Limits of a row, in bytes. They are those of the data file.
const (
	MaxKey   = 32768
	MaxValue = 1<<31 - 2
)

// Batch is a group of changes that readers see all at once. Only the apply
// goroutine uses it. From Begin to Commit it keeps readers out, so it must be
// short: one log entry.
type Batch struct {
	db   *DB
	undo []undo
	// rooms are what SetRoom replaced, a change without a key each. Between two
	// marks only the first change of a room is noted.
	rooms []roomChange
	noted [RoomCount]bool
}

type roomChange struct {
	slot   int
	former Room
}

// undo is what a Set or a Delete replaced in the active overlay.
type undo struct {
	key      []byte
	former   []byte
	replaced bool
	run      bool // key is the first of a run that was put
	rows     int8 // how many more there were then, of what counts counts
}

// Mark is a point in a batch to roll back to.
type Mark int

// Begin starts a batch. It waits for readers and must be followed by Commit
// or Abort.
func (db *DB) Begin() *Batch {
	db.mu.Lock()
	return &db.batch
}

// Get implements Reader. What it returns lives on.
func (b *Batch) Get(key []byte) (value []byte, ok bool) {
	if value, ok := b.db.inMemory(key); ok {
		return value, value != nil
	}
	value = b.db.written(key)
	if value == nil {
		return nil, false
	}
	return append(make([]byte, 0, len(value)), value...), true
}

// Ascend implements Reader. What it hands to fn lives on.
func (b *Batch) Ascend(from, to []byte, fn func(key, value []byte) bool) {
	b.db.view.ascend(from, to, walk{lasting: true}, fn)
}

// Descend implements Reader. What it hands to fn lives on.
func (b *Batch) Descend(from, to []byte, fn func(key, value []byte) bool) {
	b.db.view.descend(from, to, walk{lasting: true}, fn)
}

// Look implements Writer.
func (b *Batch) Look(from, to []byte, fn func(key, value []byte) bool) {
	b.db.view.ascend(from, to, walk{}, fn)
}

// Set implements Writer. It panics if the key is empty or a limit is
// exceeded: callers check what comes from clients.
func (b *Batch) Set(key, value []byte) {
	if len(key) == 0 || len(key) > MaxKey || len(value) > MaxValue {
		panic("storage: row outside of its limits")
	}
	if value == nil {
		value = noBytes
	}
	b.put(row{key: key, value: value})
}

// Delete implements Writer.
func (b *Batch) Delete(key []byte) {
	if len(key) == 0 || len(key) > MaxKey {
		panic("storage: key outside of its limits")
	}
	b.put(row{key: key})
}

func (b *Batch) put(r row) {
	if r.value != nil {
		b.db.gaps.cut(r.key)
	}
	former, replaced := b.db.active.set(r)
	u := undo{key: r.key, former: former, replaced: replaced}
	if b.db.counts.concern[r.key[0]] && b.db.counts.concerns(r.key) {
		by := b.db.difference(r, former, replaced)
		b.db.counts.note(r.key, by)
		u.rows = int8(by)
	}
	b.undo = append(b.undo, u)
}

// Room implements Reader.
func (b *Batch) Room(slot int) Room { return b.db.state.Rooms[slot] }

// SetRoom implements Writer.
func (b *Batch) SetRoom(slot int, r Room) {
	if !b.noted[slot] {
		b.noted[slot] = true
		b.rooms = append(b.rooms, roomChange{slot, b.db.state.Rooms[slot]})
		b.undo = append(b.undo, undo{})
	}
	b.db.state.Rooms[slot] = r
}

// Mark gives the present point of the batch.
func (b *Batch) Mark() Mark {
	b.noted = [RoomCount]bool{}
	return Mark(len(b.undo))
}

// RollbackTo undoes every change after m.
func (b *Batch) RollbackTo(m Mark) {
	o := b.db.active
	for i := len(b.undo) - 1; i >= int(m); i-- {
		c := &b.undo[i]
		b.db.counts.note(c.key, -int64(c.rows))
		switch {
		case c.key == nil:
			last := len(b.rooms) - 1
			b.db.state.Rooms[b.rooms[last].slot] = b.rooms[last].former
			b.rooms = b.rooms[:last]
		case c.run:
			b.db.gaps.forget(c.key[0])
			o.dropRun(c.key)
		case c.replaced:
			b.db.gaps.cut(c.key)
			o.set(row{c.key, c.former})
		default:
			b.db.gaps.cut(c.key)
			o.forget(c.key)
		}
	}
	clear(b.undo[m:])
	b.undo = b.undo[:m]
	b.noted = [RoomCount]bool{}
}

// Retain adds n bytes to the account of memory that the rows of this batch
// keep alive: rows refer to the log entry that brought them.
func (b *Batch) Retain(n int) { b.db.active.log += int64(n) }

// Commit makes the changes visible, with the state they lead to; its Rooms are
// those of the batch.
func (b *Batch) Commit(s State) {
	if len(b.undo) > 0 {
		b.db.copied = nil
	}
	s.Rooms = b.db.state.Rooms
	b.db.state = s
	b.end()
}

// Abort undoes all changes of the batch and ends it.
func (b *Batch) Abort() {
	b.RollbackTo(0)
	b.end()
}

// maxUndo is the capacity of the undo log that is kept for the next batch.
const maxUndo = 1 << 14

func (b *Batch) end() {
	clear(b.undo)
	b.undo, b.rooms = b.undo[:0], b.rooms[:0]
	b.noted = [RoomCount]bool{}
	if cap(b.undo) > maxUndo {
		b.undo, b.rooms = nil, nil
	}
	b.db.account()
	b.db.tellDisorder()
	b.db.mu.Unlock()
}
