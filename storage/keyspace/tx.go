package keyspace

import "github.com/parlorchat/parlor/storage"

// Error is a failed operation as clients see it: an upper-case code, which is
// part of the public interface and never changes its meaning, and a sentence
// that says what was wrong and what to do.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + " " + e.Message }

// ErrWrongType is the answer to an operation on a key of another type.
var ErrWrongType = &Error{"WRONGTYPE", "Operation against a key holding the wrong kind of value"}

// Type is the type of the value at a key, as TYPE shows it.
type Type uint8

const (
	None Type = iota
	String
	Hash
	Set
	ZSet
	Stream
)

// Tx is one command's window onto the keys, at one instant. A read-only Tx
// panics when written to. It is not safe for concurrent use.
//
// Byte slices that a Tx returns die with it and must not be modified. Keys,
// fields, members and values passed to it may be kept by it and must not be
// modified afterwards.
//
// A key whose expiry is not later than the Tx's time does not exist.
type Tx struct {
	rows storage.Reader
	w    storage.Writer // nil: read only
	now  int64
	// …
}

// StreamID is the id of a stream entry: milliseconds and a sequence, or, in
// the domain's streams, a sequence and 0.
type StreamID struct{ Ms, Seq uint64 }

// NewReader makes a read-only window; now is in ms since 1970.
func NewReader(rows storage.Reader, now int64) *Tx

// NewWriter makes the window of one log entry's commands. index is the log
// index, which new objects are named after; hash is kept up to date with
// every change. After a rollback of the rows the caller restores *hash and
// calls Reset.
func NewWriter(rows storage.Writer, now int64, index uint64, hash *storage.Hash) *Tx

// Reset forgets what the Tx remembers of rows that were rolled back.
func (t *Tx) Reset()

// Select changes the database (0 to 15) that the keys are in.
func (t *Tx) Select(db uint8)

// Touched gives the keys to which entries were added since the last call (for
// whoever waits for them), and forgets them.
func (t *Tx) Touched() []string

// keys
func (t *Tx) Type(key []byte) Type
func (t *Tx) Revision(key []byte) uint64 // log index of the last change; 0: no such key
func (t *Tx) Delete(key []byte) bool     // constant time; rows are collected later
func (t *Tx) Rename(from, to []byte) error
func (t *Tx) ExpireAt(key []byte) (ms int64, ok bool)    // ok false: no expiry, or no key
func (t *Tx) SetExpire(key []byte, ms int64) bool        // ms 0: none
func (t *Tx) NextExpiry() (ms int64, ok bool)            // of the key that expires first
func (t *Tx) Sweep(limit int) (removed int)              // deletes keys whose time has come
func (t *Tx) KeyCount() (keys, expires int64)
func (t *Tx) EachKey(after []byte, fn func(key []byte, typ Type) bool) // in order of the bytes; after itself excluded

// strings
func (t *Tx) Get(key []byte) (value []byte, ok bool, err error)
func (t *Tx) Set(key, value []byte) // any former value and its expiry are gone
func (t *Tx) SetKeepTTL(key, value []byte) error

// hashes
func (t *Tx) HGet(key, field []byte) (value []byte, ok bool, err error)
func (t *Tx) HSet(key, field, value []byte) (created bool, err error)
func (t *Tx) HDel(key, field []byte) (removed bool, err error)
func (t *Tx) HLen(key []byte) (int64, error)
func (t *Tx) HEach(key []byte, fn func(field, value []byte) bool) error

// sets
func (t *Tx) SAdd(key, member []byte) (added bool, err error)
func (t *Tx) SRem(key, member []byte) (removed bool, err error)
func (t *Tx) SHas(key, member []byte) (bool, error)
func (t *Tx) SLen(key []byte) (int64, error)
func (t *Tx) SEach(key []byte, fn func(member []byte) bool) error

// sorted sets
func (t *Tx) ZAdd(key, member []byte, score float64) (added bool, err error)
func (t *Tx) ZRem(key, member []byte) (removed bool, err error)
func (t *Tx) ZScore(key, member []byte) (score float64, ok bool, err error)
func (t *Tx) ZLen(key []byte) (int64, error)

// ZEach walks members in order of score, then member; from min to max
// (inclusive), or from max down to min if reverse.
func (t *Tx) ZEach(key []byte, min, max float64, reverse bool, fn func(member []byte, score float64) bool) error

// streams
func (t *Tx) XAdd(key []byte, id StreamID, fields [][]byte) error // fields: names and values in turn; id must be above the last
func (t *Tx) XLast(key []byte) (StreamID, error)                  // highest id ever added; zero if there is none
func (t *Tx) XLen(key []byte) (int64, error)
func (t *Tx) XEach(key []byte, from, to StreamID, reverse bool, fn func(id StreamID, fields [][]byte) bool) error // inclusive
func (t *Tx) XDel(key []byte, id StreamID) (bool, error)
func (t *Tx) XTrimMin(key []byte, min StreamID, limit int) (removed int64, err error) // entries below min
