package redis

import (
	"encoding/binary"
	"math"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// A stream's payload has its entries in listpacks. Each begins with a master
// entry (entries, deleted ones, names of fields, 0); an entry is flags, its id
// less that of the listpack, fields, and how many elements that was.

// Flags of an entry of a stream.
const (
	entryDeleted    = 1
	entrySameFields = 2
)

// packEntries bounds the entries of a listpack that is made.
const packEntries = 100

// listPacker makes a listpack.
type listPacker struct {
	b []byte
	n int
}

func newListPacker() *listPacker { return &listPacker{b: make([]byte, 6)} }

func (p *listPacker) end(start int) {
	n := len(p.b) - start
	size := backLen(n)
	for i := size - 1; i >= 0; i-- { // read from behind, 7 bits at a time
		v := byte(n >> (7 * i) & 127)
		if i < size-1 {
			v |= 128
		}
		p.b = append(p.b, v)
	}
	p.n++
}

func (p *listPacker) int(v int64) {
	start := len(p.b)
	if v >= 0 && v < 128 {
		p.b = append(p.b, byte(v))
	} else {
		p.b = binary.LittleEndian.AppendUint64(append(p.b, 0xf4), uint64(v))
	}
	p.end(start)
}

func (p *listPacker) string(s []byte) {
	start := len(p.b)
	switch n := len(s); {
	case n < 64:
		p.b = append(p.b, 0x80|byte(n))
	case n < 4096:
		p.b = append(p.b, 0xe0|byte(n>>8), byte(n))
	default:
		p.b = binary.LittleEndian.AppendUint32(append(p.b, 0xf0), uint32(n))
	}
	p.b = append(p.b, s...)
	p.end(start)
}

// finish gives the listpack.
func (p *listPacker) finish() []byte {
	p.b = append(p.b, 0xff)
	binary.LittleEndian.PutUint32(p.b, uint32(len(p.b)))
	binary.LittleEndian.PutUint16(p.b[4:], uint16(min(p.n, math.MaxUint16)))
	return p.b
}

func appendRawID(b []byte, id keyspace.StreamID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id.Ms), id.Seq)
}

func appendIDLens(b []byte, id keyspace.StreamID) []byte {
	return appendRDBLen(appendRDBLen(b, id.Ms), id.Seq)
}

// streamEntry is an entry to be packed.
type streamEntry struct {
	id     keyspace.StreamID
	fields [][]byte
}

// packStream puts entries into one listpack.
func packStream(b []byte, entries []streamEntry) []byte {
	p := newListPacker()
	p.int(int64(len(entries)))
	for range 3 {
		p.int(0) // none deleted, no common fields, the end of the master entry
	}
	master := entries[0].id
	for _, e := range entries {
		p.int(0)
		p.int(int64(e.id.Ms - master.Ms))
		p.int(int64(e.id.Seq - master.Seq))
		p.int(int64(len(e.fields) / 2))
		for _, f := range e.fields {
			p.string(f)
		}
		p.int(int64(len(e.fields) + 4))
	}
	b = appendRDBString(b, appendRawID(nil, master))
	return appendRDBString(b, p.finish())
}

// dumpStream appends a stream to a payload, as 7.0 reads it.
func dumpStream(c *command.Call, b, key []byte) ([]byte, error) {
	info, _, err := c.XInfo(key)
	if err != nil {
		return nil, err
	}
	var packs []byte
	var entries []streamEntry
	count, size := uint64(0), 0
	flush := func() {
		packs, entries, size = packStream(packs, entries), nil, 0
		count++
	}
	err = c.XEach(key, keyspace.StreamID{}, keyspace.MaxStreamID, false, func(id keyspace.StreamID, fields [][]byte) bool {
		entries = append(entries, streamEntry{id, fields})
		for _, f := range fields {
			size += len(f)
		}
		if len(entries) >= packEntries || size > 4096 {
			flush()
		}
		return len(packs) <= maxDump
	})
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		flush()
	}
	b = append(appendRDBLen(append(b, rdbStream2), count), packs...)
	b = appendRDBLen(b, uint64(info.Length))
	b = appendIDLens(b, info.Last)
	b = appendIDLens(b, info.First)
	b = appendIDLens(b, info.MaxDeleted)
	b = appendRDBLen(b, info.Added)
	b = appendRDBLen(b, uint64(info.Groups))
	err = c.XEachGroup(key, func(name []byte, g *keyspace.StreamGroup) bool {
		b = dumpGroup(b, name, g)
		return len(b) <= maxDump
	})
	return b, err
}

func dumpGroup(b, name []byte, g *keyspace.StreamGroup) []byte {
	le := binary.LittleEndian
	b = appendIDLens(appendRDBString(b, name), g.Last)
	b = appendRDBLen(b, uint64(g.EntriesRead))
	b = appendRDBLen(b, uint64(g.Pending()))
	g.EachPending(nil, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		b = le.AppendUint64(appendRawID(b, p.ID), uint64(p.Delivered))
		b = appendRDBLen(b, p.Count)
		return true
	})
	b = appendRDBLen(b, uint64(g.Members()))
	g.EachConsumer(func(m keyspace.Consumer) bool {
		b = le.AppendUint64(appendRDBString(b, m.Name), uint64(m.Seen))
		b = appendRDBLen(b, uint64(m.Pending))
		g.EachPending(m.Name, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
			b = appendRawID(b, p.ID)
			return true
		})
		return true
	})
	return b
}

func (r *rdbReader) idLens() keyspace.StreamID {
	ms := r.number()
	return keyspace.StreamID{Ms: ms, Seq: r.number()}
}

func (r *rdbReader) rawID() keyspace.StreamID {
	b := r.fixed(16)
	return keyspace.StreamID{Ms: binary.BigEndian.Uint64(b), Seq: binary.BigEndian.Uint64(b[8:])}
}

// loadStream makes a stream of a payload.
func (r *rdbReader) loadStream(c *command.Call, key []byte, kind byte) error {
	if err := c.XCreate(key); err != nil {
		return err
	}
	made := uint64(0)
	for n := r.count(); n > 0 && r.err == nil; n-- {
		id := rdbReader{b: r.string()}
		master := id.rawID()
		items := r.listPack()
		if id.err != nil || len(id.b) > 0 {
			r.fail()
		}
		if r.err != nil {
			return r.err
		}
		n, err := addPacked(c, key, master, items)
		if err != nil {
			return err
		}
		made += n
	}
	count, last := r.number(), r.idLens()
	top, err := c.XLast(key)
	if err != nil {
		return err
	}
	added, deleted := count, keyspace.StreamID{}
	if kind != rdbStream1 {
		r.idLens() // the first entry: it is known
		deleted, added = r.idLens(), r.number()
	}
	if r.err != nil || made != count || last.Less(top) {
		return errDumpFormat
	}
	if err := c.XSetInfo(key, last, &added, &deleted); err != nil {
		return err
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		if err := r.loadGroup(c, key, kind); err != nil {
			return err
		}
	}
	return r.err
}

// addPacked adds the entries of a listpack and gives how many there were.
func addPacked(c *command.Call, key []byte, master keyspace.StreamID, items [][]byte) (made uint64, err error) {
	good := true
	next := func() []byte {
		if len(items) == 0 {
			good = false
			return nil
		}
		item := items[0]
		items = items[1:]
		return item
	}
	num := func() int64 {
		n, ok := parseInt(next())
		good = good && ok
		return n
	}
	some := func() int64 { // a number of things that follow
		n := num()
		if n < 0 || n > int64(len(items)) {
			good = false
			return 0
		}
		return n
	}
	num() // entries and deleted ones are counted below
	num()
	var names [][]byte
	for n := some(); n > 0; n-- {
		names = append(names, next())
	}
	num()
	for good && len(items) > 0 {
		flags := num()
		id := keyspace.StreamID{Ms: master.Ms + uint64(num()), Seq: master.Seq + uint64(num())}
		var fields [][]byte
		if flags&entrySameFields != 0 {
			for _, name := range names {
				fields = append(fields, name, next())
			}
		} else {
			for n := some(); n > 0; n-- {
				fields = append(fields, next(), next())
			}
		}
		num()
		if !good || len(fields) == 0 {
			return 0, errDumpFormat
		}
		if flags&entryDeleted != 0 {
			continue
		}
		if err := c.XAdd(key, id, fields); err != nil {
			if err == keyspace.ErrStreamIDSmall || err == keyspace.ErrStreamIDZero {
				err = errDumpFormat
			}
			return 0, err
		}
		made++
	}
	if !good {
		return 0, errDumpFormat
	}
	return made, nil
}

func (r *rdbReader) loadGroup(c *command.Call, key []byte, kind byte) error {
	name, last := r.string(), r.idLens()
	info, _, err := c.XInfo(key)
	if err != nil {
		return err
	}
	read := distance(info, last) // before 7.0 it was not counted
	if kind != rdbStream1 {
		read = int64(r.number())
	}
	if r.err != nil {
		return r.err
	}
	if made, err := c.XGroupCreate(key, name, last, read); err != nil || !made {
		return orFormat(err)
	}
	pending := map[keyspace.StreamID]keyspace.Pending{}
	n := r.count()
	for range n {
		p := keyspace.Pending{ID: r.rawID()}
		p.Delivered, p.Count = int64(binary.LittleEndian.Uint64(r.fixed(8))), r.number()
		if r.err != nil {
			return r.err
		}
		pending[p.ID] = p
	}
	if len(pending) != n {
		return errDumpFormat
	}
	for m := r.count(); m > 0 && r.err == nil; m-- {
		if err := r.loadConsumer(c, key, name, kind, pending); err != nil {
			return err
		}
	}
	if r.err == nil && len(pending) > 0 {
		return errDumpFormat // pending, and nobody has it
	}
	return r.err
}

// loadConsumer makes a consumer and takes what it has out of pending. The group
// is opened anew for each, so that it never keeps many in mind.
func (r *rdbReader) loadConsumer(c *command.Call, key, group []byte, kind byte, pending map[keyspace.StreamID]keyspace.Pending) error {
	g, err := c.XGroup(key, group)
	if err != nil {
		return err
	}
	name := r.string()
	seen := int64(binary.LittleEndian.Uint64(r.fixed(8)))
	if kind == rdbStream3 {
		r.fixed(8)
	}
	n := r.count()
	if r.err != nil {
		return r.err
	}
	if joined, err := g.Join(name); err != nil || !joined {
		return orFormat(err)
	}
	g.SeenAt(name, max(seen, 0))
	for range n {
		p, ok := pending[r.rawID()]
		if r.err != nil || !ok {
			return errDumpFormat
		}
		delete(pending, p.ID)
		p.Consumer = name
		g.Give(p)
	}
	g.Close()
	return nil
}

// orFormat gives the error, or that something stood twice.
func orFormat(err error) error {
	if err == nil {
		return errDumpFormat
	}
	return err
}
