package keyspace

import (
	"bytes"
	"encoding/binary"

	"github.com/parlorchat/parlor/storage"
)

// Rows of consumer groups, all <'x'><object 8> and then:
//
//	'1' <group>                                       → last id 16, entries read 8, pending 8, consumers 8
//	'2' <length 2><group> <consumer>                  → seen 8, active 8, pending 8
//	'3' <length 2><group> <id 16>                     → delivered 8, count 8, consumer
//	'4' <length 2><group> <length 2><consumer> <id 16> → ""
const (
	kindGroup     = '1'
	kindConsumer  = '2'
	kindPending   = '3'
	kindPendingOf = '4'
)

// Pending is an entry that a consumer got and has not acknowledged.
type Pending struct {
	ID        StreamID
	Consumer  []byte
	Delivered int64 // when it was given out last, ms since 1970
	Count     uint64
}

// Consumer is a member of a consumer group.
type Consumer struct {
	Name    []byte
	Seen    int64 // when it asked for something last, ms since 1970
	Active  int64 // when it got something last
	Pending int64
}

// StreamGroup is a consumer group of a stream, opened for one command. While
// it is open nothing else may change the stream. Whoever changes it must Close
// it, on which the changes are written.
type StreamGroup struct {
	Last        StreamID // last id given out
	EntriesRead int64    // -1: not known

	t         *Tx
	o         *object
	name      []byte
	pending   int64
	members   int64
	stored    []byte
	consumers []*consumer // touched ones
	changed   bool
}

type consumer struct {
	Consumer
	stored []byte // nil: no row
	dead   bool
}

func groupRow(b []byte, object uint64, group []byte) []byte {
	return append(append(appendID(b, rowStream, object), kindGroup), group...)
}

func appendName(b, name []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
}

func (g *StreamGroup) row(b []byte, kind byte) []byte {
	return appendName(append(appendID(b, rowStream, g.o.id), kind), g.name)
}

func (g *StreamGroup) consumerRow(b, consumer []byte) []byte {
	return append(g.row(b, kindConsumer), consumer...)
}

func (g *StreamGroup) pendingRow(b []byte, id StreamID) []byte {
	return appendStreamID(g.row(b, kindPending), id)
}

func (g *StreamGroup) pendingOfRow(b, consumer []byte, id StreamID) []byte {
	return appendStreamID(appendName(g.row(b, kindPendingOf), consumer), id)
}

// XGroup opens a consumer group; nil if there is no such stream or group.
func (t *Tx) XGroup(key, group []byte) (*StreamGroup, error) {
	var o *object
	var err error
	if t.w != nil {
		if o, err = t.write(key, Stream); err == nil && o.typ == None {
			o = nil
		}
	} else {
		o, err = t.read(key, Stream)
	}
	if o == nil || err != nil {
		return nil, err
	}
	v, ok := t.rows.Get(groupRow(nil, o.id, group))
	if !ok {
		return nil, nil
	}
	g := &StreamGroup{t: t, o: o, name: group}
	g.decode(v)
	return g, nil
}

func (g *StreamGroup) decode(v []byte) {
	g.stored = v
	g.Last = readStreamID(v)
	g.EntriesRead = int64(binary.BigEndian.Uint64(v[16:]))
	g.pending = int64(binary.BigEndian.Uint64(v[24:]))
	g.members = int64(binary.BigEndian.Uint64(v[32:]))
}

func (g *StreamGroup) encode() []byte {
	b := appendStreamID(make([]byte, 0, 40), g.Last)
	b = binary.BigEndian.AppendUint64(b, uint64(g.EntriesRead))
	b = binary.BigEndian.AppendUint64(b, uint64(g.pending))
	return binary.BigEndian.AppendUint64(b, uint64(g.members))
}

// XGroupCreate makes a consumer group that has been given everything up to
// last. The stream must exist. It says whether the group is new.
func (t *Tx) XGroupCreate(key, group []byte, last StreamID, entriesRead int64) (bool, error) {
	if len(group) > MaxKey {
		return false, ErrKeyTooLong
	}
	o, err := t.write(key, Stream)
	if err != nil {
		return false, err
	}
	if o.typ == None {
		return false, ErrNoSuchKey
	}
	row := groupRow(nil, o.id, group)
	if _, ok := t.rows.Get(row); ok {
		return false, nil
	}
	g := StreamGroup{Last: last, EntriesRead: entriesRead}
	t.putRow(o, row, nil, false, g.encode())
	o.groups++
	t.saveAside(o)
	return true, nil
}

// XGroupDestroy removes a consumer group with all it knows.
func (t *Tx) XGroupDestroy(key, group []byte) (bool, error) {
	g, err := t.XGroup(key, group)
	if g == nil {
		return false, err
	}
	o := g.o
	for _, kind := range []byte{kindConsumer, kindPending, kindPendingOf} {
		g.dropAll(g.row(nil, kind))
	}
	t.dropRow(o, groupRow(nil, o.id, group), g.stored)
	o.groups--
	t.saveAside(o)
	t.touch(key)
	return true, nil
}

func (g *StreamGroup) dropAll(prefix []byte) {
	type row struct{ key, value []byte }
	var rows []row
	g.t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
		rows = append(rows, row{bytes.Clone(k), v})
		return true
	})
	for _, r := range rows {
		g.t.dropRow(g.o, r.key, r.value)
	}
}

// XEachGroup walks the consumer groups of a stream in order of their names.
// The group is for reading.
func (t *Tx) XEachGroup(key []byte, fn func(name []byte, g *StreamGroup) bool) error {
	o, err := t.read(key, Stream)
	if o == nil || o.groups == 0 {
		return err
	}
	prefix := groupRow(nil, o.id, nil)
	var names [][]byte
	var values [][]byte
	t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
		names, values = append(names, bytes.Clone(k[len(prefix):])), append(values, v)
		return true
	})
	for i, name := range names {
		g := &StreamGroup{t: t, o: o, name: name}
		g.decode(values[i])
		if !fn(name, g) {
			break
		}
	}
	return nil
}

// Stream is what the group's stream knows of itself.
func (g *StreamGroup) Stream() StreamInfo { return g.o.info() }

// Pending is the number of entries that wait for an acknowledgement.
func (g *StreamGroup) Pending() int64 { return g.pending }

// Members is the number of consumers.
func (g *StreamGroup) Members() int64 { return g.members }

// SetLast says that everything up to id has been given out.
func (g *StreamGroup) SetLast(id StreamID, entriesRead int64) {
	g.Last, g.EntriesRead = id, entriesRead
	g.changed = true
}

func decodeConsumer(name, v []byte) Consumer {
	be := binary.BigEndian
	return Consumer{name, int64(be.Uint64(v)), int64(be.Uint64(v[8:])), int64(be.Uint64(v[16:]))}
}

// consumer gives a consumer for changing, nil if there is none.
func (g *StreamGroup) consumer(name []byte) *consumer {
	for _, c := range g.consumers {
		if bytes.Equal(c.Name, name) && !c.dead {
			return c
		}
	}
	v, ok := g.t.rows.Get(g.consumerRow(nil, name))
	if !ok {
		return nil
	}
	for _, c := range g.consumers {
		if bytes.Equal(c.Name, name) {
			return nil // was removed just now
		}
	}
	c := &consumer{Consumer: decodeConsumer(name, v), stored: v}
	g.consumers = append(g.consumers, c)
	return c
}

// Consumer looks a consumer up.
func (g *StreamGroup) Consumer(name []byte) (Consumer, bool) {
	if c := g.consumer(name); c != nil {
		return c.Consumer, true
	}
	return Consumer{}, false
}

// Join makes a consumer if there is none, and says whether it did.
func (g *StreamGroup) Join(name []byte) (created bool, err error) {
	if len(name) > MaxKey {
		return false, ErrKeyTooLong
	}
	if g.consumer(name) != nil {
		return false, nil
	}
	g.consumers = append(g.consumers, &consumer{Consumer: Consumer{Name: name, Seen: g.t.now}})
	g.members++
	g.changed = true
	if g.t.recording {
		g.t.record(ConsumerMade, g.o, g.o.count)
	}
	return true, nil
}

// Seen notes that a consumer asked for something now.
func (g *StreamGroup) Seen(name []byte) { g.SeenAt(name, g.t.now) }

// SeenAt notes when a consumer asked for something last, in ms since 1970.
func (g *StreamGroup) SeenAt(name []byte, ms int64) {
	if c := g.consumer(name); c != nil {
		c.Seen = ms
		g.changed = true
	}
}

// Leave removes a consumer and whatever it had not acknowledged; it says how
// many entries those were. The group must be closed before anything else.
func (g *StreamGroup) Leave(name []byte) (pending int64) {
	c := g.consumer(name)
	if c == nil {
		return 0
	}
	var ids []StreamID
	g.EachPending(name, StreamID{}, MaxStreamID, func(p Pending) bool {
		ids = append(ids, p.ID)
		return true
	})
	for _, id := range ids {
		g.Ack(id)
	}
	c.dead = true
	g.members--
	g.changed = true
	return int64(len(ids))
}

// Lookup gives a pending entry.
func (g *StreamGroup) Lookup(id StreamID) (Pending, bool) {
	v, ok := g.t.rows.Get(g.pendingRow(nil, id))
	if !ok {
		return Pending{}, false
	}
	return decodePending(id, v), true
}

func decodePending(id StreamID, v []byte) Pending {
	be := binary.BigEndian
	return Pending{ID: id, Delivered: int64(be.Uint64(v)), Count: be.Uint64(v[8:]), Consumer: v[16:]}
}

// Give makes an entry pending, or changes who has it, when and how often it
// was given out. The consumer must have joined.
func (g *StreamGroup) Give(p Pending) {
	c := g.consumer(p.Consumer)
	row := g.pendingRow(nil, p.ID)
	old, had := g.t.rows.Get(row)
	owner := []byte(nil)
	if had {
		owner = old[16:]
	} else {
		g.pending++
	}
	if !had || !bytes.Equal(owner, p.Consumer) {
		if had {
			g.disown(owner, p.ID)
		}
		c.Pending++
		g.t.putRow(g.o, g.pendingOfRow(nil, p.Consumer, p.ID), nil, false, nil)
	}
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 16+len(p.Consumer)), uint64(p.Delivered))
	v = append(binary.BigEndian.AppendUint64(v, p.Count), p.Consumer...)
	g.t.putRow(g.o, row, old, had, v)
	g.changed = true
}

func (g *StreamGroup) disown(owner []byte, id StreamID) {
	if c := g.consumer(bytes.Clone(owner)); c != nil {
		c.Pending--
	}
	g.t.dropRow(g.o, g.pendingOfRow(nil, owner, id), nil)
}

// Ack ends that an entry is pending, and says whether it was.
func (g *StreamGroup) Ack(id StreamID) bool {
	row := g.pendingRow(nil, id)
	old, had := g.t.rows.Get(row)
	if !had {
		return false
	}
	g.disown(old[16:], id)
	g.t.dropRow(g.o, row, old)
	g.pending--
	g.changed = true
	return true
}

// EachPending walks the pending entries of a consumer (nil: of all) in order
// of their ids, both ends inclusive.
func (g *StreamGroup) EachPending(consumer []byte, from, to StreamID, fn func(p Pending) bool) {
	if to.Less(from) {
		return
	}
	if consumer == nil {
		g.t.rows.Ascend(g.pendingRow(nil, from), append(g.pendingRow(nil, to), 0), func(k, v []byte) bool {
			return fn(decodePending(readStreamID(k[len(k)-16:]), v))
		})
		return
	}
	start, end := g.pendingOfRow(nil, consumer, from), append(g.pendingOfRow(nil, consumer, to), 0)
	var ids []StreamID
	for {
		ids = ids[:0]
		g.t.rows.Ascend(start, end, func(k, _ []byte) bool {
			ids = append(ids, readStreamID(k[len(k)-16:]))
			return len(ids) < 128
		})
		for _, id := range ids {
			p, ok := g.Lookup(id)
			if !ok {
				panic("keyspace: a consumer's pending entry is not pending in its group")
			}
			if !fn(p) {
				return
			}
		}
		if len(ids) < 128 {
			return
		}
		next, ok := ids[len(ids)-1].Next()
		if !ok {
			return
		}
		start = g.pendingOfRow(nil, consumer, next)
	}
}

// EachConsumer walks the stored consumers in order of their names.
func (g *StreamGroup) EachConsumer(fn func(c Consumer) bool) {
	prefix := g.row(nil, kindConsumer)
	g.t.rows.Ascend(prefix, storage.EndOf(prefix), func(k, v []byte) bool {
		return fn(decodeConsumer(k[len(prefix):], v))
	})
}

// Entry gives the fields of an entry of the group's stream.
func (g *StreamGroup) Entry(id StreamID) (fields [][]byte, ok bool) {
	v, ok := g.t.rows.Get(entryRow(nil, g.o.id, id))
	if !ok {
		return nil, false
	}
	return decodeFields(v), true
}

// Close writes what was changed.
func (g *StreamGroup) Close() {
	if !g.changed {
		return
	}
	be := binary.BigEndian
	for _, c := range g.consumers {
		row := g.consumerRow(nil, c.Name)
		if c.dead {
			if c.stored != nil {
				g.t.dropRow(g.o, row, c.stored)
			}
			continue
		}
		v := be.AppendUint64(make([]byte, 0, 24), uint64(c.Seen))
		v = be.AppendUint64(be.AppendUint64(v, uint64(c.Active)), uint64(c.Pending))
		g.t.putRow(g.o, row, c.stored, c.stored != nil, v)
		c.stored = v
	}
	v := g.encode()
	g.t.putRow(g.o, groupRow(nil, g.o.id, g.name), g.stored, true, v)
	g.stored, g.changed = v, false
	g.t.saveAside(g.o)
}
