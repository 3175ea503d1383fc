package node

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/raftfsm"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/backup"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Looking into backups and into the data folders of members that do not run.

// Contents is what a table holds.
type Contents struct {
	Keys     int64            `json:"keys"`
	Expiring int64            `json:"expiring"` // of them, with an expiry
	Types    map[string]int64 `json:"types"`    // keys by type
	Prefixes map[string]int64 `json:"prefixes"` // keys by what stands before the first colon; "" if none
}

// VerifyBackup reads a whole backup, puts its table together under the folder
// tmp, which it removes again, and checks every row. It gives what is in it
// and the file's checksum, in hex.
func VerifyBackup(r io.Reader, tmp string) (m Manifest, sum string, c Contents, err error) {
	b, err := backup.Open(r)
	if err != nil {
		return m, "", c, backupError(err)
	}
	s, err := openStaging(tmp, b.Manifest().ClusterID)
	if err != nil {
		return m, "", c, fmt.Errorf("making room for the backup: %w", err)
	}
	defer s.remove()
	s.manifest = b.Manifest()
	if sum, err = s.receive(b); err != nil {
		return m, "", c, err
	}
	if err := s.check(); err != nil {
		return m, "", c, err
	}
	err = s.db.View(func(rows storage.Reader, st storage.State) error {
		c = contentsOf(rows, st)
		return nil
	})
	return s.manifest, sum, c, err
}

// prefixesMax is how many prefixes are counted one by one; the rest is "…".
const prefixesMax = 50

func contentsOf(rows storage.Reader, st storage.State) Contents {
	c := Contents{Types: map[string]int64{}, Prefixes: map[string]int64{}}
	tx := keyspace.NewReader(rows, st.Clock)
	for number := range keyspace.Databases {
		tx.Select(uint8(number))
		keys, expires := tx.KeyCount()
		c.Keys += keys
		c.Expiring += expires
		tx.EachKey(nil, func(key []byte, typ keyspace.Type) bool {
			c.Types[typ.String()]++
			prefix, _, found := strings.Cut(string(key), ":")
			if !found {
				prefix = ""
			}
			if _, known := c.Prefixes[prefix]; !known && len(c.Prefixes) >= prefixesMax {
				prefix = "…"
			}
			c.Prefixes[prefix]++
			return true
		})
	}
	return c
}

// Folder is what is in the data folder of a member that does not run.
type Folder struct {
	Identity
	Index     uint64         `json:"index"` // log index that the table is as of
	Term      uint64         `json:"term"`
	StateHash string         `json:"state_hash"`
	Clock     int64          `json:"clock"` // the group's time then, ms since 1970
	Members   []FolderMember `json:"members"`
	DataBytes int64          `json:"data_bytes"` // used part of the table's file
	Contents  *Contents      `json:"contents,omitempty"`
}

// FolderMember is a member of the group as of the checkpoint in a data folder.
type FolderMember struct {
	ID      string `json:"id"`
	Cluster string `json:"cluster"`
	Voter   bool   `json:"voter"`
}

// InspectFolder looks at the table in a data folder, and changes nothing. With
// verify, it reads and checks every row. What the log holds beyond the table's
// last checkpoint is not in it. The error has the code LOCKED if the member
// runs, DAMAGED if something is wrong with the table.
func InspectFolder(dir string, verify bool) (f Folder, err error) {
	if f.Identity, err = Inspect(dir); err != nil {
		return f, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return f, err
	}
	defer lock.Close()
	table := filepath.Join(dir, tableFolder)
	s, err := storage.Inspect(table)
	if err != nil {
		return f, fail(CodeDamaged, "the table cannot be opened: "+err.Error())
	}
	f.Index, f.Term, f.Clock, f.StateHash = s.State.Index, s.State.Term, s.State.Clock, hashText(s.State.Hash)
	f.DataBytes = s.FileBytes
	for _, s := range configurationOf(s.Meta.Config).Servers {
		f.Members = append(f.Members, FolderMember{ID: string(s.ID), Cluster: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	if !verify {
		return f, nil
	}
	c, r, err := checkTable(table, nil)
	if err == nil && len(r.Damage) > 0 {
		err = fail(CodeDamaged, "the table is damaged: "+errors.Join(r.Damage...).Error())
	}
	f.Contents = c
	return f, err
}

// checkTable reads all of a table that nobody uses.
func checkTable(table string, progress func(rows int64)) (c *Contents, r *storage.CheckReport, err error) {
	r, err = storage.Check(table, storage.CheckOptions{Progress: progress, Verify: func(rows storage.Reader, st storage.State) error {
		if err := raftfsm.Verify(rows, st); err != nil {
			return err
		}
		found := contentsOf(rows, st)
		c = &found
		return nil
	}})
	if err != nil {
		return nil, nil, fail(CodeDamaged, "the table cannot be read: "+err.Error())
	}
	return c, r, nil
}

// configurationOf decodes who belongs to a group; nobody, if it cannot be read.
func configurationOf(encoded []byte) (c raft.Configuration) {
	if len(encoded) == 0 {
		return c
	}
	defer func() { _ = recover() }() // raft panics at what it cannot decode
	return raft.DecodeConfiguration(encoded)
}
