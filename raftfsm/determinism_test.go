package raftfsm

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/parlorchat/parlor/storage/command"
)

// drawCommand is some command on few keys, so that types clash, objects grow
// out of their meta rows, and are deleted and made again.
func drawCommand(t *rapid.T) command.Args {
	n := func(most int) string { return fmt.Sprint(rapid.IntRange(0, most).Draw(t, "n")) }
	key := "k" + n(5)
	if rapid.IntRange(0, 3).Draw(t, "any type") > 0 {
		key = rapid.SampledFrom([]string{"string", "hash", "set", "zset", "stream"}).Draw(t, "key")
	}
	switch rapid.IntRange(0, 17).Draw(t, "command") {
	case 0:
		return cmd("SET", key, n(9))
	case 1:
		return cmd("SET", key, n(9), "PX", fmt.Sprint(1+rapid.IntRange(0, 5000).Draw(t, "ttl")))
	case 2:
		return cmd("INCR", "string")
	case 3:
		return cmd("APPEND", key, n(9))
	case 4:
		return cmd("DEL", key)
	case 5:
		return cmd("HSET", "hash", "f"+n(99), n(9), "f"+n(99), n(9))
	case 6:
		many := cmd("HSET", "hash")
		for i := range 100 {
			many = append(many, []byte(fmt.Sprintf("f%d", i)), []byte("a value that does not fit the row of the key"))
		}
		return many
	case 7:
		return cmd("HDEL", key, "f"+n(99))
	case 8:
		return cmd("SADD", "set", n(99), n(99), n(99))
	case 9:
		return cmd("SPOP", "set")
	case 10:
		return cmd("ZADD", "zset", n(9), n(99))
	case 11:
		return cmd("XADD", "stream", "*", "f", n(9))
	case 12:
		return cmd("RENAME", key, "k"+n(5))
	case 13:
		return cmd("PEXPIRE", key, n(5000))
	case 14:
		return cmd("T.WRITEFAIL", key)
	case 15:
		return cmd("T.CALL", key)
	case 16:
		return cmd("GET", key)
	default:
		return cmd("XTRIM", "stream", "MAXLEN", n(3))
	}
}

// drawLog is a log of n entries: with repetitions, transactions, watches,
// changes of membership, holes, and a leader's clock that jumps.
func drawLog(t *rapid.T, n int) []*raft.Log {
	var logs []*raft.Log
	var items []Item
	index := uint64(0)
	for range n {
		index += uint64(rapid.SampledFrom([]int{1, 1, 1, 3}).Draw(t, "step"))
		if rapid.IntRange(0, 9).Draw(t, "membership") == 0 {
			logs = append(logs, &raft.Log{Index: index, Term: 1, Type: raft.LogConfiguration})
			continue
		}
		e := Entry{LeaderTime: 1000 * int64(rapid.IntRange(0, 60).Draw(t, "time")), Seed: rapid.Uint64().Draw(t, "seed")}
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			if len(items) > 0 && rapid.IntRange(0, 4).Draw(t, "repeat") == 0 {
				e.Items = append(e.Items, rapid.SampledFrom(items).Draw(t, "repeated"))
				continue
			}
			it := Item{
				Origin: rapid.SampledFrom([][16]byte{alice, bob}).Draw(t, "origin"),
				Boot:   1 + index/20, Seq: rapid.Uint64Range(0, 200).Draw(t, "seq"),
			}
			for range rapid.IntRange(1, 3).Draw(t, "commands") {
				it.Request.Commands = append(it.Request.Commands, drawCommand(t))
			}
			if rapid.IntRange(0, 4).Draw(t, "watch") == 0 {
				it.Request.Watches = []command.Watch{{Key: []byte("string"), Revision: rapid.Uint64Range(0, index).Draw(t, "revision")}}
			}
			items, e.Items = append(items, it), append(e.Items, it)
		}
		logs = append(logs, &raft.Log{Index: index, Term: 1, Data: EncodeEntry(nil, &e)})
	}
	return logs
}

// settle brings a member to where it can be compared: rows of deleted objects
// are collected after a checkpoint, at each member's own pace.
func (m *member) settle() *member {
	m.t.Helper()
	if m.fsm.Applied() == 0 {
		return m
	}
	m.mustSnapshot()
	for end := time.Now().Add(time.Minute); m.hasGarbage(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatal("rows of deleted objects are not collected")
		}
	}
	return m
}

// hasGarbage says whether rows still name deleted objects, or rooms that were
// left.
func (m *member) hasGarbage() bool {
	for key := range m.rows() {
		if key[0] == 'g' || key[0] == 'r' {
			return true
		}
	}
	return false
}

// loose is a member whose answers nobody counts: it applies entries again.
func loose(t testing.TB) *member {
	m := newMember(t, alice)
	m.fsm.cfg.Waiter = nil
	return m
}

func (m *member) restartLoose() {
	m.restart()
	m.fsm.cfg.Waiter = nil
}

// A log applied in any batches, with a checkpoint and a crash anywhere, or
// from another member's snapshot anywhere, leads to the same state and rows.
func TestReplayIsDeterministic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		logs := drawLog(rt, rapid.IntRange(1, 40).Draw(rt, "entries"))
		one := loose(t)
		for _, l := range logs {
			one.apply(l)
		}

		other, third := loose(t), loose(t)
		applied := 0
		for rest := logs; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "batch")
			other.apply(rest[:n]...)
			rest = rest[n:]
			switch rapid.IntRange(0, 3).Draw(rt, "then") {
			case 0:
				other.mustSnapshot()
				applied = len(logs) - len(rest)
			case 1: // crash: raft sends again what no checkpoint holds
				other.restartLoose()
				rest = logs[applied:]
				if rapid.Bool().Draw(rt, "whole log") {
					rest = logs
				}
			case 2:
				if other.fsm.Applied() > third.fsm.Applied() {
					other.mustSnapshot()
					applied = len(logs) - len(rest)
					third.mustInstall(other, 0, 0)
				}
			}
		}
		third.apply(after(logs, third.fsm.Applied())...)
		one.settle().sameAs(other.settle())
		one.sameAs(third.settle())
		for _, m := range []*member{one, other, third} {
			m.stop()
		}
	})
}

func after(logs []*raft.Log, index uint64) []*raft.Log {
	for len(logs) > 0 && logs[0].Index <= index {
		logs = logs[1:]
	}
	return logs
}

// The same log, with a checkpoint and a restart at every index in turn.
func TestReplayFromACheckpointAtEveryIndex(t *testing.T) {
	logs := rapid.Custom(func(rt *rapid.T) []*raft.Log { return drawLog(rt, 60) }).Example(41)
	one := loose(t)
	one.apply(logs...)
	one.settle()
	for i := 1; i < len(logs); i++ {
		m := loose(t)
		m.apply(logs[:i]...)
		m.mustSnapshot()
		m.restartLoose()
		m.apply(logs[i:]...)
		m.settle().sameAs(one)
		m.stop()
	}
}
