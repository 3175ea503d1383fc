package resp

import (
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/metric/memory"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

func memoryCommands() []local {
	usage := command.Spec{Name: "USAGE", Arity: -3, Flags: command.ReadOnly, Group: "server", Since: "4.0.0",
		Summary: "Estimates the bytes of a key and its value.", Categories: []string{"read", "slow"}, First: 2, Last: 2, Step: 1,
		Args: []command.Arg{{Name: "key", Type: "key"}, {Name: "count", Type: "integer", Token: "SAMPLES", Optional: true}}}
	sub := func(name, summary string) command.Spec {
		return command.Spec{Name: name, Arity: 2, Group: "server", Since: "4.0.0", Summary: summary, Categories: []string{"slow"}}
	}
	return []local{
		{spec: usage, run: (*session).memoryUsage},
		{spec: sub("DOCTOR", "Says what uses memory."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				return command.Verbatim(s.server.memoryReport()), nil
			}},
		{spec: sub("MALLOC-STATS", "Answers figures of the allocator."),
			run: func(*session, [][]byte) (command.Reply, error) { return command.Verbatim(allocatorReport()), nil }},
		{spec: sub("PURGE", "Gives memory that is not used back to the system."),
			run: func(*session, [][]byte) (command.Reply, error) { debug.FreeOSMemory(); return command.OK, nil }},
		{spec: sub("STATS", "Answers figures about memory."), run: memoryStats},
	}
}

// memoryStats answers those of Redis' figures that mean something here: what
// Go's heap holds, what clients use, what the keys of each database cost.
func memoryStats(s *session, _ [][]byte) (command.Reply, error) {
	b, n := command.BulkString, func(v int64) command.Reply { return command.Int(v) }
	m := s.server.memoryFigures()
	out := []command.Reply{
		b("peak.allocated"), n(m.peak), b("total.allocated"), n(m.heap),
		b("startup.allocated"), n(m.atStart), b("replication.backlog"), n(0),
		b("clients.slaves"), n(0), b("clients.normal"), n(m.clients), b("cluster.links"), n(0), b("aof.buffer"), n(0),
		b("lua.caches"), n(0), b("functions.caches"), n(0),
	}
	keys := int64(0)
	err := s.server.store.View(func(tx *keyspace.Tx) error {
		for db := range uint8(keyspace.Databases) {
			tx.Select(db)
			count, expires := redis.Count(tx)
			if keys += count; count > 0 {
				out = append(out, b("db."+strconv.Itoa(int(db))), command.Map(
					b("overhead.hashtable.main"), n(count*rowOverhead), b("overhead.hashtable.expires"), n(expires*rowOverhead),
					b("overhead.hashtable.slot-to-keys"), n(0)))
			}
		}
		return nil
	})
	if err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	rss := int64(memory.Resident())
	ratio := func(of, to int64) command.Reply { return command.Double(float64(of) / float64(max(to, 1))) }
	return command.Map(append(out,
		b("overhead.total"), n(m.overhead()), b("keys.count"), n(keys), b("keys.bytes-per-key"), n(m.data/max(keys, 1)),
		b("dataset.bytes"), n(m.data), b("dataset.percentage"), command.Double(m.dataShare()),
		b("peak.percentage"), command.Double(percent(m.heap, m.peak)),
		b("allocator.allocated"), n(m.heap), b("allocator.active"), n(m.inUse), b("allocator.resident"), n(m.fromSystem),
		b("allocator-fragmentation.ratio"), ratio(m.inUse, m.heap), b("allocator-fragmentation.bytes"), n(m.inUse-m.heap),
		b("allocator-rss.ratio"), ratio(m.fromSystem, m.inUse), b("allocator-rss.bytes"), n(m.fromSystem-m.inUse),
		b("rss-overhead.ratio"), ratio(rss, m.fromSystem), b("rss-overhead.bytes"), n(rss-m.fromSystem),
		b("fragmentation"), ratio(m.fromSystem, m.heap), b("fragmentation.bytes"), n(m.fromSystem-m.heap),
	)...), nil
}

func percent(part, whole int64) float64 { return float64(part) * 100 / float64(max(whole, 1)) }

// memoryReport says in a sentence or two what an operator may want to know.
func (s *Server) memoryReport() string {
	m := readMemory()
	return fmt.Sprintf("%s are in use, %s have been taken from the system; the most in use was %s. "+
		"Data is kept on disk: memory holds what changed since the last checkpoint, and caches.\n",
		humanBytes(uint64(m.heap)), humanBytes(uint64(m.fromSystem)), humanBytes(uint64(s.memory.peak(m.heap))))
}

// rowOverhead is what a row costs besides its bytes, roughly.
const rowOverhead = 48

// memoryUsage measures up to SAMPLES elements (5; 0 is all) and takes the
// others to be like them.
func (s *session) memoryUsage(args [][]byte) (command.Reply, error) {
	samples := int64(5)
	switch {
	case len(args) == 3:
	case len(args) == 5 && strings.EqualFold(string(args[3]), "SAMPLES"):
		n, err := strconv.ParseInt(string(args[4]), 10, 64)
		if err != nil {
			return command.Reply{}, command.ErrNotInteger
		}
		if n < 0 {
			return command.Reply{}, command.ErrSyntax
		}
		samples = n
	default:
		return command.Reply{}, command.ErrSyntax
	}
	key := args[2]
	if err := s.catchUp(); err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	reply := command.Null()
	err := s.server.store.Walk(func(tx *keyspace.Tx) error {
		tx.Select(s.dbIndex())
		if typ := tx.Type(key); typ != keyspace.None {
			reply = command.Int(int64(len(key)) + rowOverhead + sampleSize(tx, key, typ, samples))
		}
		return nil
	})
	if err != nil {
		return command.Reply{}, storeError(err, command.ErrUnconfirmed)
	}
	return reply, nil
}

// sampleSize estimates the bytes of a value. The type is known, so the
// operations cannot fail.
func sampleSize(tx *keyspace.Tx, key []byte, typ keyspace.Type, samples int64) int64 {
	var seen, bytes, total int64
	count := func(n int) bool {
		seen++
		bytes += int64(n) + rowOverhead
		return samples == 0 || seen < samples
	}
	switch typ {
	case keyspace.String:
		v, _, _ := tx.Get(key)
		return int64(len(v))
	case keyspace.Hash:
		total, _ = tx.HLen(key)
		_ = tx.HEach(key, func(f, v []byte) bool { return count(len(f) + len(v)) })
	case keyspace.Set:
		total, _ = tx.SLen(key)
		_ = tx.SEach(key, func(m []byte) bool { return count(len(m)) })
	case keyspace.List:
		total, _ = tx.LLen(key)
		_ = tx.LEach(key, 0, total, false, func(e []byte) bool { return count(len(e)) })
	case keyspace.ZSet:
		total, _ = tx.ZLen(key)
		_ = tx.ZEach(key, minScore, maxScore, false, func(m []byte, _ float64) bool { return count(2*len(m) + 16) })
	case keyspace.Stream:
		total, _ = tx.XLen(key)
		_ = tx.XEach(key, keyspace.StreamID{}, maxStreamID, false, func(_ keyspace.StreamID, fields [][]byte) bool {
			n := 16
			for _, f := range fields {
				n += len(f)
			}
			return count(n)
		})
	}
	if seen == 0 {
		return 0
	}
	return bytes * total / seen
}
