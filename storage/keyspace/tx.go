package keyspace

import (
	"bytes"
	"unsafe"

	"github.com/parlorchat/parlor/storage"
)

// Error is a failed operation as clients see it: an upper-case code, which is
// part of the public interface and never changes its meaning, and a sentence
// that says what was wrong and what to do.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + " " + e.Message }

// Errors of operations. Clients probe on the texts that Redis has too.
var (
	// ErrWrongType is the answer to an operation on a key of another type.
	ErrWrongType = &Error{"WRONGTYPE", "Operation against a key holding the wrong kind of value"}
	// ErrNoSuchKey is the answer of an operation that needs its key.
	ErrNoSuchKey = &Error{"ERR", "no such key"}
	// ErrKeyTooLong: see MaxKey.
	ErrKeyTooLong = &Error{"ERR", "key is longer than 8192 bytes"}
	// ErrElementTooLong: see MaxElement.
	ErrElementTooLong = &Error{"ERR", "field, member or name is longer than 16384 bytes"}
	// ErrValueTooLarge: see MaxValue.
	ErrValueTooLarge = &Error{"ERR", "value is larger than 16 MB"}
	// ErrTooManyObjects: one log entry may make about a million objects.
	ErrTooManyObjects = &Error{"ERR", "too many new keys in one transaction, split it"}
	// ErrNotANumber: a score that has no place in the order.
	ErrNotANumber = &Error{"ERR", "resulting score is not a number (NaN)"}
)

// Limits in bytes.
const (
	MaxKey     = 8 << 10  // a key; the name of a consumer group or consumer
	MaxElement = 16 << 10 // a field of a hash, a member of a set or sorted set
	MaxValue   = 16 << 20 // a string, the value of a field, an entry of a stream
)

// Databases is how many databases there are.
const Databases = 16

// Type is the type of the value at a key, as TYPE shows it.
type Type uint8

// The types. The numbers are stored and never change.
const (
	None Type = iota
	String
	Hash
	Set
	ZSet
	Stream
	List
)

// String gives the name that TYPE answers.
func (t Type) String() string {
	switch t {
	case String:
		return "string"
	case Hash:
		return "hash"
	case Set:
		return "set"
	case ZSet:
		return "zset"
	case Stream:
		return "stream"
	case List:
		return "list"
	}
	return "none"
}

// Tx is one command's window onto the keys, at one instant. A read-only Tx
// panics when written to. It is not safe for concurrent use.
//
// Byte slices that a Tx returns die with it, those of one that writes live on
// unless they are borrowed (see Borrow), and must not be modified. Keys,
// fields, members and values passed to it may be kept by it and must not be
// modified afterwards. A function passed to one of the Each methods must not
// write to the Tx.
//
// A key, or a field of a hash, whose expiry is not later than the Tx's time does
// not exist.
type Tx struct {
	rows  storage.Reader
	w     storage.Writer // nil: read only
	now   int64
	index uint64
	hash  *storage.Hash
	db    uint8

	objects uint64             // objects named by this Tx so far
	cache   map[string]*object // writers: by meta row, as stored
	made    objects            // writers: those in cache
	last    *object            // readers: the object read last
	first   object             // readers: memory for the one read first
	tally   Tally              // readers
	counted *object            // readers: that the tally has last
	limit   limited            // readers: see Within
	lapsed  int64              // writers: see Lapsed
	touched []string

	borrowed bool   // see Borrow
	buf      []byte // for row keys that are only looked up

	recording bool
	changes   []Change
}

// NewReader makes a read-only window; now is in ms since 1970.
func NewReader(rows storage.Reader, now int64) *Tx {
	return &Tx{rows: rows, now: now}
}

// RenewReader makes t, the zero Tx or a reader that nobody uses any more, a
// read-only window as NewReader would, and uses its memory again.
func (t *Tx) RenewReader(rows storage.Reader, now int64) {
	row := t.first.row[:0]
	*t = Tx{rows: rows, now: now, buf: t.buf[:0]}
	t.first.row = row
}

// Forget begins a new command of a reader, which uses the memory of the object
// that the one before has read first. What that has returned lives on.
func (t *Tx) Forget() {
	if t.last == nil {
		return
	}
	t.last = nil
	t.first = object{row: t.first.row[:0]}
}

// NewWriter makes the window of one log entry's commands. index is the log
// index, which new objects are named after: there must be one Tx an entry.
// hash is kept up to date with every change. After a rollback of the rows the
// caller restores *hash and calls Reset.
func NewWriter(rows storage.Writer, now int64, index uint64, hash *storage.Hash) *Tx {
	t := &Tx{}
	t.Renew(rows, now, index, hash)
	return t
}

// Renew makes t, the zero Tx or a writer whose entry is done, the window of
// another entry's commands, as NewWriter would, and uses its memory again.
func (t *Tx) Renew(rows storage.Writer, now int64, index uint64, hash *storage.Hash) {
	cache, made := t.cache, t.made
	if cache == nil || len(cache) > manyObjects { // clearing one that has grown would take time for ever
		cache = map[string]*object{}
	}
	clear(cache)
	made.forget()
	*t = Tx{rows: rows, w: rows, now: now, index: index, hash: hash, cache: cache, made: made, buf: t.buf[:0]}
}

// Reset forgets what the Tx remembers of rows that were rolled back. Names of
// objects are not used again, and keys stay touched: a hint too many is
// harmless.
func (t *Tx) Reset() {
	clear(t.cache)
}

// Select changes the database (0 to 15) that the keys are in.
func (t *Tx) Select(db uint8) { t.db = db % Databases }

// DB is the database that the keys are in.
func (t *Tx) DB() uint8 { return t.db }

// Now is the Tx's time in ms since 1970.
func (t *Tx) Now() int64 { return t.now }

// Touched gives the keys of streams, lists and sorted sets that got entries,
// elements or members or appeared under another name, and of streams that went
// away, since the last call (for whoever waits for them), and forgets them. A
// key may stand more than once.
func (t *Tx) Touched() []string {
	out := t.touched
	t.touched = nil
	return out
}

// touchNew touches a key at which a whole value has appeared.
func (t *Tx) touchNew(key []byte, typ Type) {
	if typ == Stream || typ == List || typ == ZSet {
		t.touch(key)
	}
}

func (t *Tx) touch(key []byte) {
	if n := len(t.touched); n > 0 && t.touched[n-1] == string(key) {
		return
	}
	t.touched = append(t.touched, string(key))
}

// load gives the object at a key of the database as it is stored, whether or
// not its time has come. Its typ is None if there is none.
func (t *Tx) load(key []byte) *object { return t.loadIn(slotOf(t.db, key), key) }

func (t *Tx) loadIn(slot int, key []byte) *object {
	t.buf = t.roomPrefix(t.buf[:0], rowMeta, slot)
	head := len(t.buf)
	t.buf = append(t.buf, key...)
	if t.w == nil {
		if t.last != nil && bytes.Equal(t.last.row, t.buf) {
			return t.last
		}
	} else if o, ok := t.cache[string(t.buf)]; ok {
		return o
	}
	var o *object
	switch {
	case t.w != nil:
		o = t.made.add()
		o.row = bytes.Clone(t.buf) // the table keeps it
	case t.last == nil:
		o = &t.first
		o.row = append(o.row[:0], t.buf...)
	default:
		o = &object{row: bytes.Clone(t.buf)}
	}
	o.slot, o.head = slot, head
	if value, ok := t.rows.Get(o.row); ok {
		if err := o.decode(value); err != nil {
			panic("keyspace: " + err.Error()) // the table is damaged: nothing may be built on it
		}
	}
	if t.w == nil {
		t.last = o
		return o
	}
	t.cache[unsafe.String(unsafe.SliceData(o.row), len(o.row))] = o // nobody changes a row's key
	return o
}

// expired says whether the time of an object has come, or of all its fields.
func (t *Tx) expired(o *object) bool {
	return (o.expire != 0 && o.expire <= t.now) || (o.timed != 0 && o.timed == o.count && o.lastDue <= t.now)
}

// find gives the object at a key, or nil if it does not exist for this Tx.
func (t *Tx) find(key []byte) *object {
	o := t.load(key)
	if o.typ == None || t.expired(o) {
		t.count(o, &t.tally.Missed)
		return nil
	}
	t.count(o, &t.tally.Found)
	return o
}

// Tally is how many keys a command has looked for to read, one that it has
// looked for several times in succession counting once.
type Tally struct{ Found, Missed int64 }

// count adds one to a number of a reader's tally.
func (t *Tx) count(o *object, n *int64) {
	if t.w == nil && o != t.counted {
		t.counted = o
		*n++
	}
}

// Tally gives the tally of a reader and begins a new one.
func (t *Tx) Tally() Tally {
	out := t.tally
	t.tally, t.counted = Tally{}, nil
	return out
}

// Lapsed is how many keys a writer has removed because their time had come.
func (t *Tx) Lapsed() int64 { return t.lapsed }

// read gives the object at a key for reading, nil if there is none.
func (t *Tx) read(key []byte, typ Type) (*object, error) {
	o := t.find(key)
	if o != nil && o.typ != typ {
		return nil, ErrWrongType
	}
	return o, nil
}

// write gives the object at a key for changing it; its typ is None if there is
// none. An object whose time has come is removed first.
func (t *Tx) write(key []byte, typ Type) (*object, error) {
	if len(key) > MaxKey {
		return nil, ErrKeyTooLong
	}
	o := t.fresh(key)
	if o.typ != None && o.typ != typ {
		return nil, ErrWrongType
	}
	return o, nil
}

// fresh is write for any type.
func (t *Tx) fresh(key []byte) *object {
	t.mustWrite()
	o := t.load(key)
	if o.typ != None && t.expired(o) {
		t.remove(o)
	}
	return o
}

func (t *Tx) mustWrite() {
	if t.w == nil {
		panic("keyspace: write to a read-only Tx")
	}
}

// name gives a new object its number, the same on every node.
func (t *Tx) name() (uint64, error) {
	if t.objects+1 >= 1<<20 {
		return 0, ErrTooManyObjects
	}
	t.objects++
	return t.index<<20 | t.objects, nil
}
