package raftfsm

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// CheckEntry says whether an encoded entry, of any version, is as it was
// written.
func CheckEntry(b []byte) error {
	if len(b) < headerSize+trailerSize {
		return fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(b))
	}
	if b[0] != entryMagic0 || b[1] != entryMagic1 {
		return fmt.Errorf("%w: it does not begin as one", ErrDamaged)
	}
	body := b[:len(b)-trailerSize]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(b[len(body):]) {
		return fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return nil
}

// CheckItems says whether b holds so many well-formed items and nothing else.
// What comes from another member is checked before it goes into the log: there
// it could no longer be refused.
func CheckItems(b []byte, items int) error {
	var it Item
	r := reader{items: items, rest: b}
	for {
		more, err := r.next(&it)
		if err != nil || !more {
			return err
		}
	}
}

// DecodeEntry decodes a whole entry. The result refers to b, which must not
// be modified afterwards; the memory taken besides is proportional to b.
func DecodeEntry(b []byte) (*Entry, error) {
	r, err := openEntry(b)
	if err != nil {
		return nil, err
	}
	e := &Entry{LeaderTime: r.time, Seed: r.seed}
	for {
		var it Item
		more, err := r.next(&it)
		if err != nil {
			return nil, err
		}
		if !more {
			return e, nil
		}
		e.Items = append(e.Items, it)
	}
}

// reader walks through an entry, item by item.
type reader struct {
	time  int64
	seed  uint64
	items int      // left
	rest  []byte   // encoded items
	args  [][]byte // to cut argument lists from: commands may keep theirs
}

// openEntry checks an entry's frame and begins to read it.
func openEntry(b []byte) (reader, error) {
	if err := CheckEntry(b); err != nil {
		return reader{}, err
	}
	if b[2] != entryVersion {
		return reader{}, fmt.Errorf("%w (format %d, this program knows %d)", ErrVersion, b[2], entryVersion)
	}
	return reader{
		time:  int64(binary.BigEndian.Uint64(b[3:])),
		seed:  binary.BigEndian.Uint64(b[11:]),
		items: int(binary.BigEndian.Uint32(b[19:])),
		rest:  b[headerSize : len(b)-trailerSize],
	}, nil
}

// next decodes the next item into it, whose slices of watches and commands
// are used again; keys and arguments refer to the entry. It returns false
// after the last item.
func (r *reader) next(it *Item) (bool, error) {
	if r.items == 0 {
		if len(r.rest) != 0 {
			return false, fmt.Errorf("%w: %d bytes after the last item", ErrDamaged, len(r.rest))
		}
		return false, nil
	}
	if len(r.rest) < itemHeadSize {
		return false, fmt.Errorf("%w: an item is cut off", ErrDamaged)
	}
	n := uint64(binary.BigEndian.Uint32(r.rest))
	b := r.rest[itemHeadSize:]
	if n < itemFixed || n > uint64(len(b)) {
		return false, fmt.Errorf("%w: an item of %d bytes in %d", ErrDamaged, n, len(b))
	}
	r.rest = b[n:]
	r.items--
	return true, r.decode(b[:n:n], it)
}

func (r *reader) decode(b []byte, it *Item) error {
	copy(it.Origin[:], b)
	it.Boot = binary.BigEndian.Uint64(b[16:])
	it.Seq = binary.BigEndian.Uint64(b[24:])
	it.DoneBelow = binary.BigEndian.Uint64(b[32:])
	d := decoder{b: b[itemNames:]}
	it.Request.DB = d.database()

	it.Request.Watches = it.Request.Watches[:0]
	for range d.count(3) {
		w := command.Watch{DB: d.database(), Key: d.bytes(), Revision: d.uvarint()}
		it.Request.Watches = append(it.Request.Watches, w)
	}
	it.Request.Commands = it.Request.Commands[:0]
	for range d.count(2) {
		args := r.cut(d.count(1))
		if len(args) == 0 {
			d.fail("a command without a name")
			break
		}
		for i := range args {
			args[i] = d.bytes()
		}
		it.Request.Commands = append(it.Request.Commands, args)
	}
	it.Request.Selects = it.Request.Selects[:0]
	for range d.count(2) {
		before := d.uvarint()
		if before >= uint64(len(it.Request.Commands)) {
			d.fail("the database changes before a command that is not there")
			break
		}
		it.Request.Selects = append(it.Request.Selects, command.Select{Before: int(before), DB: d.database()})
	}
	if d.err == nil && len(it.Request.Commands) == 0 {
		d.fail("a request without commands")
	}
	if d.err == nil && len(d.b) != 0 {
		d.fail("bytes after the last select")
	}
	return d.err
}

// cut gives a list of n arguments. The lists of several commands share one
// allocation.
func (r *reader) cut(n int) command.Args {
	const usual, most = 4, 512
	if n > len(r.args) {
		r.args = make([][]byte, max(n, min(usual*(r.items+1), most)))
	}
	args := r.args[:n:n]
	r.args = r.args[n:]
	return args
}

// decoder reads uvarints and byte strings within bounds; after an error it
// reads zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrDamaged, why)
	}
	d.b = nil
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 { // most are small
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads a number of things of at least size bytes each: what is not
// there is not allocated for.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail("a count is too high")
		return 0
	}
	return int(n)
}

// database reads the number of one.
func (d *decoder) database() uint8 {
	if len(d.b) == 0 {
		d.fail("a database is cut off")
		return 0
	}
	db := d.b[0]
	d.b = d.b[1:]
	if db >= keyspace.Databases {
		d.fail("there is no such database")
		return 0
	}
	return db
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail("a text is cut off")
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}
