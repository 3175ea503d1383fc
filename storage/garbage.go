package storage

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// garbagePrefix begins the rows that name deleted objects: the prefix, then
// the object's id of objectIDLen bytes; the value lists, a byte each, the
// prefixes p of the object's rows, which are those that begin with p and the
// id. The typed layer writes such a row when it deletes an object that has
// rows of its own, and from then on reads none of them.
const (
	garbagePrefix = 'g'
	objectIDLen   = 8
)

// leftPrefix begins the rows that name rooms which were left: the prefix, then
// the room's number. The value lists the prefixes p of the room's rows, which
// are those that begin with p and the number. The values of the first of these
// kinds say which objects are garbage too: nothing, or what a garbage row has
// as its value and the object's id.
const leftPrefix = 'r'

// garbage finds rows that may be removed: each node does this at its own pace,
// as such rows are in no state hash and no command sees them. A row that names
// others comes after all of them, so that what is left is still named.
type garbage struct {
	rows  *bbolt.Bucket
	limit int
	keys  [][]byte // found, at most limit
	err   error
}

// findGarbage gives the keys of at most limit rows, and says whether there are more.
func findGarbage(rows *bbolt.Bucket, limit int) (keys [][]byte, more bool, err error) {
	g := &garbage{rows: rows, limit: limit}
	_ = g.named(garbagePrefix, g.object) && g.named(leftPrefix, g.room)
	return g.keys, len(g.keys) >= limit, g.err
}

// take notes a row; false: no more are wanted.
func (g *garbage) take(key []byte) bool {
	if len(g.keys) >= g.limit {
		return false
	}
	g.keys = append(g.keys, bytes.Clone(key))
	return true
}

// each calls fn with the rows that have a prefix, until it returns false, and
// says whether it did not. stored has a sum.
func (g *garbage) each(prefix []byte, fn func(key, stored []byte) bool) bool {
	c := g.rows.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if !fn(k, v) {
			return false
		}
	}
	return true
}

// value takes the sum off a stored value. If it is wrong, no more is found.
func (g *garbage) value(key, stored []byte) (value []byte, ok bool) {
	value, g.err = unsealed(key, stored)
	return value, g.err == nil
}

// named finds what the rows of a kind name, and these.
func (g *garbage) named(prefix byte, find func(id, prefixes []byte) bool) bool {
	return g.each([]byte{prefix}, func(k, stored []byte) bool {
		prefixes, ok := g.value(k, stored)
		return ok && find(k[1:], prefixes) && g.take(k)
	})
}

// object finds the rows of an object.
func (g *garbage) object(id, prefixes []byte) bool {
	if len(id) != objectIDLen {
		return true // not ours: the row itself goes
	}
	for _, p := range prefixes {
		if !g.each(append([]byte{p}, id...), func(k, _ []byte) bool { return g.take(k) }) {
			return false
		}
	}
	return true
}

// room finds the rows of a room that was left, and of the objects in it.
func (g *garbage) room(number, prefixes []byte) bool {
	for i, p := range prefixes {
		ok := g.each(append([]byte{p}, number...), func(k, stored []byte) bool {
			if i == 0 && len(stored) > sumSize {
				v, ok := g.value(k, stored)
				n := len(v) - objectIDLen
				if !ok || n > 0 && !g.object(v[n:], v[:n]) {
					return false
				}
			}
			return g.take(k)
		})
		if !ok {
			return false
		}
	}
	return true
}

const (
	// garbageStep is how many rows of garbage go in one transaction: many, as
	// they are neighbours and leave whole pages free.
	garbageStep = 4096
	// garbageShare is how many free pages call for one more, see freeShare.
	garbageShare = 32
)

// garbageMost is how many rows of garbage the next transaction removes at most.
func (db *DB) garbageMost() int {
	s := db.file.bolt.Stats()
	return max(min(garbageStep, db.opt.steps.rows), (s.FreePageN+s.PendingPageN)/garbageShare)
}

// removeGarbage removes at most limit rows of garbage in a transaction of
// their own. The file must hold a whole checkpoint, or all rows of one: a row
// that names others is in the same as they are, and some of these are written
// after it. The caller holds disk.
func (db *DB) removeGarbage(limit int) error {
	keys, more, err := db.findGarbage(limit)
	if err == nil && len(keys) > 0 {
		err = db.update("removing garbage", func(tx *bbolt.Tx) error {
			rows := tx.Bucket(bucketRows)
			for _, k := range keys {
				if err := rows.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	gone := tombstones(keys)
	db.mirror(gone)
	db.remember(gone)
	db.garbage.Add(uint64(len(keys)))
	db.garbageLeft.Store(more)
	return nil
}

func (db *DB) findGarbage(limit int) (keys [][]byte, more bool, err error) {
	defer turnFault(&err)()
	err = db.file.bolt.View(func(tx *bbolt.Tx) (err error) {
		keys, more, err = findGarbage(tx.Bucket(bucketRows), limit)
		return err
	})
	return keys, more, err
}

// tombstones gives rows that remove those with the keys, in order.
func tombstones(keys [][]byte) []row {
	rows := make([]row, len(keys))
	for i, k := range keys {
		rows[i].key = k
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	return rows
}

// considerGarbage has a goroutine remove garbage until there is none, with
// breaks: what is removed by checkpoints alone is as much as was written, and
// a large key that was deleted would wait for a long time. The caller holds
// disk.
func (db *DB) considerGarbage() {
	if db.opt.GarbageBudget > 0 || db.collecting || db.closing {
		return
	}
	db.collecting = true
	db.work.Go(func() {
		for {
			worked, more := db.collect()
			if !more {
				return
			}
			db.pause(worked)
		}
	})
}

// collect removes some garbage, and says whether to go on.
func (db *DB) collect() (worked time.Duration, more bool) {
	db.disk.Lock()
	defer db.disk.Unlock()
	defer func() { db.collecting = more }()
	if db.closing || db.partial || db.usable() != nil {
		return 0, false // the next checkpoint comes back to it
	}
	started := time.Now()
	before := db.garbage.Load()
	err := db.removeGarbage(db.garbageMost())
	db.crash("garbage-step")
	if err == nil && db.garbage.Load() > before {
		err = db.refresh()
	}
	if err != nil {
		_ = db.fatal(fmt.Errorf("removing rows of deleted objects from %s: %w", db.file.path, err))
		return 0, false
	}
	if db.garbageLeft.Load() {
		return time.Since(started), true
	}
	db.considerCompaction()
	return 0, false
}

// refresh has readers look at the data file as it is now: as long as they look
// at an earlier state of it, its pages are not used again. The caller holds
// disk.
func (db *DB) refresh() error {
	fresh, err := db.file.begin()
	if err != nil {
		return err
	}
	db.mu.Lock()
	old := db.base
	db.base = fresh
	db.mu.Unlock()
	old.release()
	return nil
}
