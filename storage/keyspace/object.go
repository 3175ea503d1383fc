package keyspace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parlorchat/parlor/storage"
)

// object is the value at a key: what its meta row says.
type object struct {
	row    []byte // key of the meta row
	head   int    // length of what precedes the key in it
	slot   int    // of the room that it is in
	stored []byte // value of the meta row; nil: there is none

	typ    Type
	expire int64  // ms since 1970; 0: never
	rev    uint64 // log index of the last change
	count  int64  // fields, members or entries; bytes of a string that is cut up

	body []byte // a string, or the elements of a small object

	apart    bool         // the elements are in rows of their own
	id       uint64       // what those rows are named after
	sum      storage.Hash // over those rows
	firstRow uint64       // of a list: the index of its first row
	streamMeta
	timing

	// What the indexes have.
	storedExpire int64
	storedGone   int64
	storedWake   int64
	storedID     uint64
	storedCount  int64 // what the meta row has of count
}

// objects are those that one entry's commands have to do with. They lie side by
// side, and their memory is used again for the next entry.
type objects struct {
	pieces [][]object // all of objectsAtOnce
	n      int
}

const (
	objectsAtOnce = 64
	// manyObjects is how many an entry may have without giving up memory.
	manyObjects = 2048
)

// add gives an empty object.
func (l *objects) add() *object {
	piece, i := l.n/objectsAtOnce, l.n%objectsAtOnce
	if piece == len(l.pieces) {
		l.pieces = append(l.pieces, make([]object, objectsAtOnce))
	}
	l.n++
	return &l.pieces[piece][i]
}

// forget empties the list.
func (l *objects) forget() {
	for i := 0; i*objectsAtOnce < l.n; i++ {
		clear(l.pieces[i])
	}
	l.n = 0
	if len(l.pieces)*objectsAtOnce > manyObjects {
		l.pieces = nil
	}
}

// streamMeta is what a stream knows beyond its rows.
type streamMeta struct {
	last       StreamID // highest id ever
	first      StreamID // of the first entry; zero if there is none
	maxDeleted StreamID
	added      uint64 // entries ever added
	groups     int64
}

// Versions of a meta row. The second is that of a string that is cut up, which
// programs that know the first alone must not take for an empty one.
const (
	metaVersion      = 1
	metaVersionBytes = 2
)

// Flags of a meta row.
const (
	flagExpire = 1 << iota
	flagApart
	flagTimed // fields of the hash expire
)

const streamMetaSize = 3*16 + 8 + 8

func (o *object) key() []byte { return o.row[o.head:] }

// takePlace makes the object one at the key of dst, not stored there yet.
func (o *object) takePlace(dst *object) {
	o.row, o.head, o.slot = dst.row, dst.head, dst.slot
	o.stored, o.storedExpire, o.storedGone, o.storedWake, o.storedID, o.storedCount = nil, 0, 0, 0, 0, 0
}

// small says whether elements in this shape are kept in the meta row.
func small(count int64, size int) bool { return count <= 64 && size <= 2048 }

// encode gives the meta row. Its key and its value stand side by side, as they
// are looked at together.
func (o *object) encode() (key, value []byte) {
	var flags byte
	size := 3 + 8
	if o.expire != 0 {
		flags |= flagExpire
		size += 8
	}
	if o.timed != 0 {
		flags |= flagTimed
		size += timingSize
	}
	if o.apart {
		flags |= flagApart
		size += 8 + 8 + 16 + streamMetaSize
	} else {
		size += 1 + len(o.body)
	}
	version := byte(metaVersion)
	if o.apart && o.typ == String {
		version = metaVersionBytes
	}
	b := make([]byte, 0, len(o.row)+size)
	b = append(b, o.row...)
	b = append(b, version, byte(o.typ), flags)
	be := binary.BigEndian
	b = be.AppendUint64(b, o.rev)
	if o.expire != 0 {
		b = be.AppendUint64(b, uint64(o.expire))
	}
	if o.timed != 0 {
		b = be.AppendUint64(b, uint64(o.timed))
		b = be.AppendUint64(b, uint64(o.firstDue))
		b = be.AppendUint64(b, uint64(o.lastDue))
	}
	if !o.apart {
		if o.typ != String {
			b = append(b, byte(o.count))
		}
		return cutRow(append(b, o.body...), len(o.row))
	}
	b = be.AppendUint64(b, o.id)
	b = be.AppendUint64(b, uint64(o.count))
	b = be.AppendUint64(b, o.sum.Hi)
	b = be.AppendUint64(b, o.sum.Lo)
	switch o.typ {
	case List:
		b = be.AppendUint64(b, o.firstRow)
	case Stream:
		b = appendStreamID(b, o.last)
		b = appendStreamID(b, o.first)
		b = appendStreamID(b, o.maxDeleted)
		b = be.AppendUint64(b, o.added)
		b = be.AppendUint64(b, uint64(o.groups))
	}
	return cutRow(b, len(o.row))
}

// cutRow makes a key, of n bytes, and a value of a row that is in one piece.
func cutRow(b []byte, n int) (key, value []byte) { return b[:n:n], b[n:] }

var errShortMeta = errors.New("meta row is too short")

// decode takes in the value of the meta row, which it keeps.
func (o *object) decode(value []byte) error {
	o.stored = value
	b := value
	if len(b) < 11 {
		return errShortMeta
	}
	if b[0] != metaVersion && b[0] != metaVersionBytes {
		return fmt.Errorf("meta row of version %d, this program knows %d and %d", b[0], metaVersion, metaVersionBytes)
	}
	o.typ = Type(b[1])
	if o.typ == None || o.typ > List {
		return fmt.Errorf("meta row of unknown type %d", b[1])
	}
	flags := b[2]
	be := binary.BigEndian
	o.rev = be.Uint64(b[3:])
	b = b[11:]
	if flags&flagExpire != 0 {
		if len(b) < 8 {
			return errShortMeta
		}
		o.expire = int64(be.Uint64(b))
		b = b[8:]
	}
	if flags&flagTimed != 0 {
		if len(b) < timingSize {
			return errShortMeta
		}
		o.timed, o.firstDue, o.lastDue = int64(be.Uint64(b)), int64(be.Uint64(b[8:])), int64(be.Uint64(b[16:]))
		b = b[timingSize:]
	}
	o.apart = flags&flagApart != 0
	defer o.noteIndexes()
	if !o.apart {
		if o.typ != String {
			if len(b) < 1 {
				return errShortMeta
			}
			o.count = int64(b[0])
			b = b[1:]
		}
		o.body = b
		return nil
	}
	if len(b) < 32 || (o.typ == Stream && len(b) < 32+streamMetaSize) || (o.typ == List && len(b) < 32+8) {
		return errShortMeta
	}
	o.id = be.Uint64(b)
	o.count = int64(be.Uint64(b[8:]))
	o.sum = storage.Hash{Hi: be.Uint64(b[16:]), Lo: be.Uint64(b[24:])}
	switch o.typ {
	case List:
		o.firstRow = be.Uint64(b[32:])
	case Stream:
		b = b[32:]
		o.last, o.first, o.maxDeleted = readStreamID(b), readStreamID(b[16:]), readStreamID(b[32:])
		o.added = be.Uint64(b[48:])
		o.groups = int64(be.Uint64(b[56:]))
	}
	return nil
}

// save writes the meta row and all that is derived from it. An object that
// has no elements left is removed, unless it is a stream.
func (t *Tx) save(o *object) {
	if (o.count == 0 && o.typ != String && o.typ != Stream) || t.expired(o) {
		t.remove(o)
		return
	}
	o.rev = t.index
	t.store(o)
}

// saveAside is save for what is kept beside the value, such as who has read a
// stream how far: the key counts as changed only if it is new.
func (t *Tx) saveAside(o *object) {
	if o.stored == nil {
		o.rev = t.index
	}
	t.store(o)
}

func (t *Tx) store(o *object) {
	key, value := o.encode()
	if t.recording {
		what := Changed
		if o.stored == nil {
			what = Made
		}
		t.record(what, o, o.count)
	}
	r := t.rows.Room(o.slot)
	if o.stored == nil {
		r.Keys++
	} else {
		h := storage.RowHash(o.row, o.stored)
		*t.hash, r.Hash = t.hash.Sub(h), r.Hash.Sub(h)
	}
	if id := o.rowsID(); o.stored == nil || id != o.storedID {
		t.w.Set(scanRow(o.row, o.head), o.owned())
	}
	t.indexTimes(o, &r)
	h := storage.RowHash(o.row, value)
	*t.hash, r.Hash = t.hash.Add(h), r.Hash.Add(h)
	t.w.Set(key, value)
	t.w.SetRoom(o.slot, r)
	o.stored = value
	o.noteIndexes()
}

// indexTimes writes the indexes of times.
func (t *Tx) indexTimes(o *object, r *storage.Room) {
	if o.expire != o.storedExpire {
		if o.storedExpire != 0 {
			r.Expires--
		}
		if o.expire != 0 {
			r.Expires++
		}
	}
	if gone := o.gone(); gone != o.storedGone || (gone != 0 && (o.expire == 0) != (o.storedExpire == 0)) {
		if o.storedGone != 0 && o.storedGone != gone {
			t.w.Delete(timeRow(rowExpiry, o.storedGone, o.row, o.head))
		}
		if gone != 0 {
			t.w.Set(timeRow(rowExpiry, gone, o.row, o.head), o.goneBy())
		}
	}
	if wake := o.wake(); wake != o.storedWake {
		if o.storedWake != 0 {
			t.w.Delete(timeRow(rowWake, o.storedWake, o.row, o.head))
		}
		if wake != 0 {
			t.w.Set(timeRow(rowWake, wake, o.row, o.head), nil)
		}
	}
}

// noteIndexes notes what the indexes have of the object.
func (o *object) noteIndexes() {
	o.storedExpire, o.storedGone, o.storedWake, o.storedID, o.storedCount = o.expire, o.gone(), o.wake(), o.rowsID(), o.count
}

// rowsID is what the object's own rows are named after, 0: it has none.
func (o *object) rowsID() uint64 {
	if !o.apart {
		return 0
	}
	return o.id
}

// owned is the value of the row in the scan index: whose room is left finds
// there which rows are garbage too.
func (o *object) owned() []byte {
	if !o.apart {
		return nil
	}
	return binary.BigEndian.AppendUint64(bytes.Clone(rowsOf(o.typ)), o.id)
}

// remove takes the object away in constant time. Its rows become garbage.
func (t *Tx) remove(o *object) {
	if o.stored != nil {
		what := Removed
		if t.expired(o) {
			what = Expired
			t.lapsed++
		}
		if t.recording {
			t.record(what, o, 0)
		}
		r := t.rows.Room(o.slot)
		r.Keys--
		if o.storedExpire != 0 {
			r.Expires--
		}
		if o.storedGone != 0 {
			t.w.Delete(timeRow(rowExpiry, o.storedGone, o.row, o.head))
		}
		if o.storedWake != 0 {
			t.w.Delete(timeRow(rowWake, o.storedWake, o.row, o.head))
		}
		h := storage.RowHash(o.row, o.stored)
		*t.hash, r.Hash = t.hash.Sub(h), r.Hash.Sub(h)
		t.w.Delete(scanRow(o.row, o.head))
		t.w.Delete(o.row)
		t.w.SetRoom(o.slot, r)
	}
	if o.typ == Stream {
		t.touch(o.key())
	}
	t.discard(o)
	*o = object{row: o.row, head: o.head, slot: o.slot}
}

// discard leaves the object's own rows to the checkpoint, which removes them.
func (t *Tx) discard(o *object) {
	if !o.apart {
		return
	}
	t.w.Set(appendID(nil, rowGarbage, o.id), rowsOf(o.typ))
}

// rowsOf gives the first bytes of the rows that an object of a type has of its
// own.
func rowsOf(typ Type) []byte {
	switch typ {
	case Hash:
		return []byte{rowHash, rowField}
	case Set:
		return []byte{rowSet}
	case ZSet:
		return []byte{rowZSet}
	case List:
		return []byte{rowList}
	case String:
		return []byte{rowChunk}
	}
	return []byte{rowStream}
}

// putRow sets a row of an object's own; old is its value before, if it had one.
// Neither key nor value is kept.
func (t *Tx) putRow(o *object, key, old []byte, had bool, value []byte) {
	if had {
		if bytes.Equal(old, value) {
			return
		}
		o.sum = o.sum.Sub(storage.RowHash(key, old))
	}
	o.sum = o.sum.Add(storage.RowHash(key, value))
	t.w.Set(bytes.Clone(key), bytes.Clone(value))
}

// dropRow deletes a row of an object's own.
func (t *Tx) dropRow(o *object, key, old []byte) {
	o.sum = o.sum.Sub(storage.RowHash(key, old))
	t.w.Delete(bytes.Clone(key))
}

// apartAs gives the object rows of its own, still empty.
func (t *Tx) apartAs(o *object) error {
	id, err := t.name()
	if err != nil {
		return err
	}
	o.apart, o.id, o.sum = true, id, storage.Hash{}
	return nil
}

// shrunk says whether elements in this shape go back into the meta row. It is
// far below small, so that an object on the
// border does not go to and fro.
func shrunk(count int64, size int) bool { return count <= 16 && size <= 512 }
