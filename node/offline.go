package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
)

// What can be done with the data folder of a member that does not run. Each
// fails with the code LOCKED if it does, NOTFORMED if the folder is no member's.

// StorageStats are the figures of a data folder.
type StorageStats struct {
	NodeID     string   `json:"node_id"`
	ClusterID  string   `json:"cluster_id"`
	Index      uint64   `json:"index"`      // log index of the table's last checkpoint
	StateHash  string   `json:"state_hash"` // of all rows then
	TableBytes int64    `json:"table_bytes"`
	FreeBytes  int64    `json:"free_bytes"` // of the table's, to be used again
	PageSize   int      `json:"page_size"`
	Unfinished uint64   `json:"unfinished,omitempty"` // index of a checkpoint that the next start finishes
	Log        LogRange `json:"log"`
	LogBytes   int64    `json:"log_bytes"`
	Disk       Disk     `json:"disk"`
}

// StorageReport is what CheckStorage found.
type StorageReport struct {
	StorageStats
	Rows     int64     `json:"rows"`
	RowBytes int64     `json:"row_bytes"`
	Entries  int64     `json:"entries"` // of the log
	Contents *Contents `json:"contents,omitempty"`
	Damage   []string  `json:"damage"` // what is wrong; empty: nothing
	TookMS   int64     `json:"took_ms"`
}

// Compacted is what CompactStorage has done.
type Compacted struct {
	Before int64 `json:"before"` // length of the table's file, bytes
	After  int64 `json:"after"`
	Rows   int64 `json:"rows"`
	TookMS int64 `json:"took_ms"`
}

// offlineFolder calls fn while the folder of a member is locked.
func offlineFolder(dir string, fn func(Identity) error) error {
	id, err := Inspect(dir)
	if err != nil {
		return err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	return fn(id)
}

// StatStorage gives the figures of a data folder.
func StatStorage(dir string) (s StorageStats, err error) {
	err = offlineFolder(dir, func(id Identity) error {
		s, err = statStorage(dir, id)
		return err
	})
	return s, err
}

func statStorage(dir string, id Identity) (s StorageStats, err error) {
	f, err := storage.Inspect(filepath.Join(dir, tableFolder))
	if err != nil {
		return s, fail(CodeDamaged, "the table cannot be read: "+err.Error())
	}
	s = StorageStats{
		NodeID: id.NodeID, ClusterID: f.ClusterID, Index: f.State.Index, StateHash: hashText(f.State.Hash),
		TableBytes: f.FileBytes, FreeBytes: f.FreeBytes, PageSize: f.PageSize, Unfinished: f.Unfinished, Disk: diskOf(dir),
	}
	files, err := filepath.Glob(filepath.Join(dir, logFolder, "*"))
	if err != nil {
		return s, err
	}
	for _, path := range files {
		if info, err := os.Stat(path); err == nil {
			s.LogBytes += info.Size()
		}
	}
	v, err := openLogView(dir)
	if err != nil {
		return s, err
	}
	s.Log = LogRange{First: v.first, Last: v.last}
	return s, v.Close()
}

// CheckStorage reads all of a data folder, table and log, and looks for
// damage. It changes nothing. progress, if any, hears how many rows were read.
func CheckStorage(dir string, progress func(rows int64)) (r StorageReport, err error) {
	started := time.Now()
	err = offlineFolder(dir, func(id Identity) error {
		if r.StorageStats, err = statStorage(dir, id); err != nil {
			return err
		}
		var found *storage.CheckReport
		if r.Contents, found, err = checkTable(filepath.Join(dir, tableFolder), progress); err != nil {
			return err
		}
		r.Rows, r.RowBytes = found.Rows, found.RowBytes
		for _, err := range found.Damage {
			r.Damage = append(r.Damage, "table: "+err.Error())
		}
		return r.checkLog(dir, found.Meta)
	})
	if r.Damage == nil {
		r.Damage = []string{}
	}
	r.TookMS = time.Since(started).Milliseconds()
	return r, err
}

// damagedEntries is how many damaged log entries are listed.
const damagedEntries = 20

// checkLog reads the whole log, and whether it fits the table.
func (r *StorageReport) checkLog(dir string, at storage.Meta) (err error) {
	v, err := openLogView(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if v.last != 0 && v.first > at.Index+1 {
		r.Damage = append(r.Damage, fmt.Sprintf("the log begins at entry %d, the table ends at %d: the entries between are missing", v.first, at.Index))
	}
	term, bad := uint64(0), 0
	for index := v.first; index <= v.last && index > 0 && bad < damagedEntries; index++ {
		l := new(raft.Log)
		err := v.GetLog(index, l)
		switch {
		case err != nil:
		case l.Index != index:
			err = fmt.Errorf("it says that it is entry %d", l.Index)
		case l.Term < term:
			err = fmt.Errorf("it is of term %d, the one before of term %d", l.Term, term)
		case l.Type == raft.LogCommand:
			_, err = raftfsm.DecodeEntry(l.Data)
		}
		if err != nil {
			bad++
			r.Damage = append(r.Damage, fmt.Sprintf("log: entry %d: %v", index, err))
			continue
		}
		r.Entries++
		term = l.Term
	}
	return nil
}

// CompactStorage writes the table's file anew, without the pages that are free.
// What ends it before its end leaves the folder as it was.
func CompactStorage(dir string, progress func(rows int64)) (c Compacted, err error) {
	err = offlineFolder(dir, func(Identity) error {
		s, err := storage.Inspect(filepath.Join(dir, tableFolder))
		if err != nil {
			return fail(CodeDamaged, "the table cannot be read: "+err.Error())
		}
		if free := diskOf(dir).Free; free > 0 && uint64(s.FileBytes-s.FreeBytes) > free {
			return fail(CodeNoSpace, fmt.Sprintf("the new file takes up to %d bytes, the disk of %s has %d left", s.FileBytes-s.FreeBytes, dir, free))
		}
		r, err := storage.Compact(filepath.Join(dir, tableFolder), storage.CompactOptions{Progress: progress})
		if err != nil {
			return err
		}
		c = Compacted{Before: r.Before, After: r.After, Rows: r.Rows, TookMS: r.Took.Milliseconds()}
		return nil
	})
	return c, err
}
