package redis_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

// BenchmarkLarge makes and removes keys of 100 000 elements, half of which are
// in the data file; what it does is undone each time. Beside the time it tells
// what the process works for an element, garbage collection included.
func BenchmarkLarge(b *testing.B) {
	const n = 100_000
	db, err := storage.Open(b.TempDir(), storage.Options{Fatal: func(err error) { b.Fatal(err) }})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	table := command.NewTable(redis.Commands())
	index := uint64(0)
	run := func(keep bool, args ...string) {
		index++
		raw := command.New(args...)
		state, batch := db.State(), db.Begin()
		state.Index = index
		call := command.Call{Index: index, Now: 1, Tx: keyspace.NewWriter(batch, 1, index, &state.Hash)}
		if reply, err := table.Find(raw[0]).Run(&call, raw); err != nil || reply.Err() != nil {
			b.Fatal(err, reply)
		}
		if keep {
			batch.Commit(state)
		} else {
			batch.Abort()
		}
	}
	for i := 0; i < n; i += 1000 {
		set, zset, hash, list := []string{"SADD", "set"}, []string{"ZADD", "zset"}, []string{"HSET", "hash"}, []string{"RPUSH", "list"}
		for j := i; j < i+1000; j++ {
			name := fmt.Sprintf("element:%08d", j*7919%n)
			set, zset = append(set, name), append(zset, strconv.Itoa(j), name)
			hash, list = append(hash, name, "value"), append(list, name)
		}
		run(true, set...)
		run(true, zset...)
		run(true, hash...)
		run(true, list...)
		if i == n/2 {
			c, err := db.Freeze()
			if err == nil {
				err = c.Write(storage.Meta{Index: index})
			}
			if err != nil {
				b.Fatal(err)
			}
			c.Release()
		}
	}
	half := strconv.Itoa(n / 2)
	for _, args := range [][]string{
		{"COPY", "hash", "to"}, {"COPY", "zset", "to"}, {"SUNIONSTORE", "to", "set", "absent"}, {"SINTERSTORE", "to", "set", "set"},
		{"ZUNIONSTORE", "to", "1", "zset"}, {"ZREMRANGEBYRANK", "zset", "0", half}, {"ZREMRANGEBYRANK", "zset", "0", strconv.Itoa(n / 4)},
		{"SPOP", "set", half}, {"SORT", "set", "ALPHA", "STORE", "to"}, {"ZRANGESTORE", "to", "zset", "0", "-1"}, {"LTRIM", "list", half, "-1"}, {"ZCOUNT", "zset", "-inf", "inf"},
	} {
		b.Run(fmt.Sprint(args), func(b *testing.B) {
			used := processorTime()
			for b.Loop() {
				run(false, args...)
			}
			b.ReportMetric(float64((processorTime()-used).Nanoseconds())/float64(b.N)/n, "cpu-ns/element")
		})
	}
}
