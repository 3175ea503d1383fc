package keyspace

import (
	"encoding/binary"

	"github.com/parlorchat/parlor/storage"
)

// A room is where the keys of a database are: its number stands in their rows.
// A database that is flushed moves to an empty room, and two that are swapped
// exchange theirs, so that neither depends on the number of keys. What is left
// in a room without a database is garbage. The domain's keys have a room of
// their own, which is never left.

// reservedSlot is the slot of the domain's keys, in database 0. The other slots
// are those of the databases.
const reservedSlot = Databases

// Everything is touched when databases were exchanged or emptied: anything at
// any key may be different. It stands for itself among the touched keys.
const Everything = "\x00everything"

// ReservedPrefixes begin the keys of the domain, in order of their bytes.
var ReservedPrefixes = []string{"agent:", "chat:", "department:", "secret:", "site:", "system:", "visitor:"}

// Reserved says whether a key is one of the domain's.
func Reserved(key []byte) bool {
	if len(key) < len("site:") {
		return false
	}
	switch key[0] {
	case 'a', 'c', 'd', 's', 'v':
	default:
		return false
	}
	for _, p := range ReservedPrefixes {
		if len(key) >= len(p) && string(key[:len(p)]) == p {
			return true
		}
	}
	return false
}

func slotOf(db uint8, key []byte) int {
	if db == 0 && Reserved(key) {
		return reservedSlot
	}
	return int(db)
}

// databaseOf is the database that a slot belongs to.
func databaseOf(slot int) uint8 {
	if slot == reservedSlot {
		return 0
	}
	return uint8(slot)
}

// slots gives those of the database.
func (t *Tx) slots() []int {
	if t.db == 0 {
		return []int{0, reservedSlot}
	}
	return []int{int(t.db)}
}

// number of the room in a slot. The first ones are numbered like the slots.
func number(rows storage.Reader, slot int) uint64 {
	if n := rows.Room(slot).Number; n != 0 {
		return n - 1
	}
	return uint64(slot)
}

// appendNumber writes a room's number so that none is the beginning of another,
// in one byte as long as few were used.
func appendNumber(b []byte, n uint64) []byte {
	if n < 0xf0 {
		return append(b, byte(n))
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], n)
	i := 0
	for be[i] == 0 {
		i++
	}
	return append(append(b, 0xef+byte(8-i)), be[i:]...)
}

// numberSize is how many bytes the number at the beginning of b takes.
func numberSize(b []byte) int {
	if len(b) == 0 || b[0] < 0xf0 {
		return 1
	}
	return 1 + int(b[0]-0xef)
}

// roomPrefix begins the rows of a kind in the room of a slot.
func (t *Tx) roomPrefix(b []byte, first byte, slot int) []byte {
	return appendNumber(append(b, first), number(t.rows, slot))
}

// freeNumber is one that no room ever had: the latest is always in a slot.
func (t *Tx) freeNumber() uint64 {
	latest := uint64(storage.RoomCount - 1)
	for slot := range storage.RoomCount {
		latest = max(latest, number(t.rows, slot))
	}
	return latest + 1
}

// placeRoom puts another room into a slot.
func (t *Tx) placeRoom(slot int, r storage.Room) {
	r.Since = t.index
	*t.hash = t.hash.Sub(placeHash(slot, t.rows.Room(slot))).Add(placeHash(slot, r))
	t.w.SetRoom(slot, r)
}

// placeHash is what it means for the hash of the state that a room is in a
// slot.
func placeHash(slot int, r storage.Room) storage.Hash {
	if r.Number == 0 && r.Since == 0 {
		return storage.Hash{}
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), r.Number)
	return storage.RowHash([]byte{rowRoom, byte(slot)}, binary.BigEndian.AppendUint64(b, r.Since))
}

// forgetObjects forgets what is known of objects, as their slots may be others
// now.
func (t *Tx) forgetObjects() {
	clear(t.cache)
	t.touch([]byte(Everything))
	t.recordReplaced()
}

// Flush removes all keys of the database but those of the domain, in constant
// time.
func (t *Tx) Flush() {
	t.mustWrite()
	slot := int(t.db)
	r := t.rows.Room(slot)
	if r.Keys == 0 {
		t.recordReplaced() // as a word to clients, which are told of every flush
		return
	}
	*t.hash = t.hash.Sub(r.Hash)
	t.w.Set(appendNumber([]byte{rowLeftRoom}, number(t.rows, slot)), []byte{rowScan, rowMeta, rowExpiry, rowWake})
	t.placeRoom(slot, storage.Room{Number: t.freeNumber() + 1})
	t.forgetObjects()
}

// SwapDB exchanges the keys of two databases, but for those of the domain, in
// constant time.
func (t *Tx) SwapDB(a, b uint8) {
	t.mustWrite()
	if a == b {
		return
	}
	rooms := [2]storage.Room{t.rows.Room(int(a)), t.rows.Room(int(b))}
	rooms[0].Number, rooms[1].Number = number(t.rows, int(a))+1, number(t.rows, int(b))+1
	t.placeRoom(int(a), rooms[1])
	t.placeRoom(int(b), rooms[0])
	t.forgetObjects()
}

// Move takes a key, with its expiry, to another database. It says whether it
// did: not if there is no such key, or one there already.
func (t *Tx) Move(key []byte, db uint8) bool {
	o := t.fresh(key)
	if o.typ == None || db == t.db {
		return false
	}
	home := t.db
	defer func() { t.db = home }()
	t.db = db
	dst := t.fresh(key)
	if dst.typ != None {
		return false
	}
	t.carry(o, dst)
	t.touchNew(key, dst.typ)
	return true
}

// carry puts an object in the place of another, which is none.
func (t *Tx) carry(o, dst *object) {
	moved := *o
	moved.takePlace(dst)
	o.apart = false // its rows live on
	t.remove(o)
	*dst = moved
	t.save(dst)
}
