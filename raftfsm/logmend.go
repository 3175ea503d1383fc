package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"github.com/parlorchat/parlor/storage"
)

// metaFile is where the store below keeps what segments there are.
const metaFile = "wal-meta.db"

// MendLog makes a log that a process has left in the middle of an append, or
// between two segments, such that all that can be read of it is on disk, and the
// next append works. Like CheckLog, which it comes after, it must be called before
// the log is opened.
//
// Each append is synced before the next one begins, and a process ends when that
// fails; so it is the last one that may not be on disk (storage.RewriteHead says why),
// and the names of files. It is written again.
//
// The append that fills a segment ends with an index; then the next segment
// begins, in a second step. raft-wal 0.4.2 takes a segment with an index for
// full even if the append was torn, and does not make up for a second step that
// was missed: in both cases each append fails, after each start.
func MendLog(dir string) (err error) {
	if _, err := os.Stat(filepath.Join(dir, metaFile)); errors.Is(err, fs.ErrNotExist) {
		return nil // a new one
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("mending the log: %w", err)
		}
	}()
	if err := errors.Join(storage.SyncDir(dir), storage.RewriteHead(filepath.Join(dir, metaFile))); err != nil {
		return err
	}
	meta := new(metadb.BoltMetaDB)
	defer func() { err = errors.Join(err, meta.Close()) }()
	state, err := meta.Load(dir)
	if err != nil || len(state.Segments) == 0 {
		return err
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return nil
	}
	path := filepath.Join(dir, fmt.Sprintf("%020d-%016x.wal", tail.BaseIndex, tail.ID))
	b, err := readUsed(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made when the log is opened
	}
	if err != nil {
		return err
	}
	good, latest := goodPrefix(b)
	clear(b[min(max(good, segmentHeader), len(b)):]) // a torn append
	if err := writeAgain(path, b, latest); err != nil {
		return err
	}
	entries, index := framesOf(b[:good])
	if index == 0 {
		return nil
	}
	tail.SealTime, tail.IndexStart, tail.MaxIndex = time.Now(), index, tail.BaseIndex+entries-1
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: tail.MaxIndex + 1, MinIndex: tail.MaxIndex + 1,
		Codec: tail.Codec, SizeLimit: tail.SizeLimit, CreateTime: time.Now(),
	})
	state.NextSegmentID++
	return meta.CommitState(state)
}

// writeAgain writes what a file holds, b, from a place on over itself, and syncs.
func writeAgain(path string, b []byte, from int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b[from:], int64(from))
	return errors.Join(err, f.Sync(), f.Close())
}

// framesOf counts the entries of whole appends, and says where the index
// begins, behind its head; 0 if there is none.
func framesOf(b []byte) (entries, index uint64) {
	for at := segmentHeader; at+frameHeader <= len(b); {
		n := int(binary.LittleEndian.Uint32(b[at+4:]))
		switch b[at] {
		case frameEntry:
			entries++
		case frameIndex:
			index = uint64(at + frameHeader)
		default: // a commit, whose length is a sum
			n = 0
		}
		at += frameHeader + (n+7)&^7
	}
	return entries, index
}
