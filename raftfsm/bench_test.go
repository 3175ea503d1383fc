package raftfsm

import (
	"fmt"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// BenchmarkApply measures what a command costs inside the state machine, in
// entries of 1 to 512 commands, from decoding to commit. The table is empty
// (all in memory) or has a million rows in the data file.
func BenchmarkApply(b *testing.B) {
	table := command.NewTable(redis.Commands())
	for _, cold := range []int{0, 500_000} {
		for _, size := range []int{1, 32, 512} {
			for name, cmd := range map[string]func(i int) command.Args{
				"SET": func(i int) command.Args {
					return command.New("SET", fmt.Sprintf("key:%08d", i*7919%1_000_000), "some value of a usual size, 50 bytes or thereabouts")
				},
				"INCR": func(i int) command.Args { return command.New("INCR", fmt.Sprintf("counter:%03d", i%1000)) },
				"HSET": func(i int) command.Args {
					return command.New("HSET", fmt.Sprintf("visitor:%05d", i*7919%50_000), "page_url", "https://example.com/pricing", "last_seen", "1795410000123")
				},
			} {
				b.Run(fmt.Sprintf("%s/cold=%d/batch=%d", name, cold, size), func(b *testing.B) {
					f := benchFSM(b, table, cold)
					logs := benchLogs(b.N, size, 2, uint64(cold)+1, cmd)
					b.ReportAllocs()
					b.ResetTimer()
					for i := 0; i < len(logs); i += 64 {
						f.ApplyBatch(logs[i:min(i+64, len(logs))])
					}
				})
			}
		}
	}
}

func benchLogs(n, size int, boot, first uint64, cmd func(int) command.Args) []*raft.Log {
	var logs []*raft.Log
	for i := 0; i < n; i += size {
		e := Entry{LeaderTime: 1795410000000, Seed: uint64(i)}
		for j := i; j < min(i+size, n); j++ {
			e.Items = append(e.Items, Item{Boot: boot, Seq: uint64(j), DoneBelow: uint64(i), Request: command.Request{Commands: []command.Args{cmd(j)}}})
		}
		logs = append(logs, &raft.Log{Index: first + uint64(len(logs)), Term: 1, Data: EncodeEntry(nil, &e)})
	}
	return logs
}

type discard struct{}

func (discard) Done([16]byte, uint64, uint64, command.Result) {}

func benchFSM(b *testing.B, table *command.Table, rows int) *FSM {
	db, err := storage.Open(b.TempDir(), storage.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	f := New(Config{DB: db, Table: table, Waiter: discard{}})
	if rows > 0 {
		f.ApplyBatch(benchLogs(rows, 512, 1, 1, func(i int) command.Args {
			return command.New("SET", fmt.Sprintf("key:%08d", i*2), "some value of a usual size, 50 bytes or thereabouts")
		}))
		c, err := db.Freeze()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Write(storage.Meta{Index: c.State().Index, Term: 1}); err != nil {
			b.Fatal(err)
		}
		c.Release()
	}
	return f
}

// What comparing the members costs an entry: its head's sum, when it is stored,
// and a step of the trail, when it is applied.
func BenchmarkComparing(b *testing.B) {
	l := entry(1, request(bob, 1, 1, set("k", 1)))
	var t trail
	s := storage.State{}
	for b.Loop() {
		l.Extensions = sumOf(l)
		s.Index++
		t.add(s)
	}
}
