package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Recovering makes a group of what is left of one that has lost its majority
// for good. It is done on one machine whose member does not run, with what
// that member has: its table and all of its log, whether the others had the
// last entries or not. What only the lost ones had is lost.

// recoverGap is how far the recovered state is put above everything that this
// member's log holds. Other members that are kept may have had more of the log
// than this one; above the gap nobody has anything, so nobody can take his own
// entries for the group's: each is sent the whole state.
const recoverGap = 1 << 20

// raft's name for the term, in its stable store.
var keyCurrentTerm = []byte("CurrentTerm")

// Recovered tells what Recover has done.
type Recovered struct {
	ClusterID string         `json:"cluster_id"`
	NodeID    string         `json:"node_id"`
	Index     uint64         `json:"index"` // log index of the recovered state
	Epoch     string         `json:"epoch"` // of the new history
	Replayed  int            `json:"replayed"`
	Kept      []FolderMember `json:"kept"`
	Dropped   []FolderMember `json:"dropped"` // taken out for good
	Saved     string         `json:"saved"`   // folder with a copy of the data as it was
}

// Recover makes the member of a data folder that does not run the only one
// with a vote in its group, which begins a new epoch. keep names other members
// (node ids, or beginnings of them that are clear) that stay in the group:
// they are sent this one's state, and get their votes back when they have it.
// All others are taken out for good. The folder is first copied to save, which
// must not exist. If Recover fails or is interrupted, it can be called again.
func Recover(opts Options, keep []string, save string) (Recovered, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return Recovered{}, err
	}
	id, err := Inspect(opts.Dir)
	if err != nil {
		return Recovered{}, err
	}
	lock, err := lockFolder(opts.Dir)
	if err != nil {
		return Recovered{}, err
	}
	defer lock.Close()
	// A storage error must end this, and is no reason to end the process.
	var broken error
	opts.Fatal = func(err error) {
		if broken == nil {
			broken = err
		}
	}
	if err := copyFolder(opts.Dir, save); err != nil {
		if e := (*Error)(nil); errors.As(err, &e) {
			return Recovered{}, e
		}
		return Recovered{}, fmt.Errorf("copying the data first (nothing was changed): %w", err)
	}
	r, err := recoverMember(opts, id, keep, &broken)
	r.Saved = save
	if err != nil && r.Index == 0 { // nothing was written yet
		err = errors.Join(err, os.RemoveAll(save))
	}
	return r, err
}

func recoverMember(opts Options, id Identity, keep []string, broken *error) (r Recovered, err error) {
	n, err := open(opts, id)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	r.ClusterID, r.NodeID = id.ClusterID, id.NodeID
	end, err := n.replay(broken)
	if err != nil {
		return r, err
	}
	r.Replayed = end.replayed
	if r.Kept, r.Dropped, err = end.divide(id.NodeID, keep); err != nil {
		return r, err
	}
	if err := n.rewrite(end, &r); err != nil {
		return r, err
	}
	if *broken != nil {
		return r, *broken
	}
	if err := n.release(); err != nil { // its state is the group's from now on
		return r, err
	}
	return r, errors.Join(n.forget(r.Kept), removeMark(opts.Dir, restoringFile), removeMark(opts.Dir, copiedFile))
}

// logEnd is where a member's log ends.
type logEnd struct {
	index, term uint64
	servers     []raft.Server // who belonged to the group then
	replayed    int           // entries that the table did not have yet
}

// replay carries out what the log holds beyond the table.
func (n *Node) replay(broken *error) (logEnd, error) {
	_, at := n.db.Checkpointed()
	end := logEnd{index: at.Index, term: at.Term, servers: configurationOf(at.Config).Servers}
	last, err := n.logs.LastIndex()
	if err != nil {
		return end, err
	}
	for index := at.Index + 1; index <= last; index++ {
		l := new(raft.Log)
		if err := n.logs.GetLog(index, l); err != nil {
			return end, fmt.Errorf("reading log entry %d: %w", index, err)
		}
		if l.Type == raft.LogConfiguration {
			end.servers = configurationOf(l.Data).Servers
		}
		if l.Type == raft.LogCommand || l.Type == raft.LogConfiguration {
			n.fsm.Apply(l)
		}
		if *broken != nil {
			return end, fmt.Errorf("carrying out log entry %d: %w", index, *broken)
		}
		end.index, end.term = l.Index, l.Term
		end.replayed++
	}
	if len(end.servers) == 0 {
		return end, fail(CodeDamaged, "the folder does not tell who belonged to the group: there is nothing to recover; restore a backup")
	}
	return end, nil
}

// divide tells those who stay from those who go.
func (e logEnd) divide(self string, keep []string) (kept, dropped []FolderMember, err error) {
	stays := map[string]bool{self: true}
	for _, word := range keep {
		id, err := e.find(word)
		if err != nil {
			return nil, nil, err
		}
		stays[id] = true
	}
	for _, s := range e.servers {
		m := FolderMember{ID: string(s.ID), Cluster: string(s.Address), Voter: string(s.ID) == self}
		if stays[m.ID] {
			kept = append(kept, m)
		} else {
			dropped = append(dropped, m)
		}
	}
	if !slices.ContainsFunc(kept, func(m FolderMember) bool { return m.ID == self }) {
		return nil, nil, fail(CodeRemoved, "this member was taken out of the group: recover on one that belonged to it to the end")
	}
	return kept, dropped, nil
}

// find gives the id that a word is the beginning of.
func (e logEnd) find(word string) (string, error) {
	found := ""
	for _, s := range e.servers {
		if id := string(s.ID); word != "" && strings.HasPrefix(id, word) {
			if found != "" {
				return "", fail(CodeInvalid, "more than one member's id begins with "+word)
			}
			found = id
		}
	}
	if found == "" {
		return "", fail(CodeNotMember, "the group had no member "+word)
	}
	return found, nil
}

// rewrite makes the recovered state, in one transaction of the table, and then
// empties the log. A crash between the two is mended by the next start.
func (n *Node) rewrite(end logEnd, r *Recovered) error {
	term, err := n.stable.GetUint64(keyCurrentTerm)
	if err != nil && !errors.Is(err, wal.ErrNotFound) {
		return fmt.Errorf("reading the term: %w", err)
	}
	term = max(term, end.term) + 1
	if err := n.stable.SetUint64(keyCurrentTerm, term); err != nil {
		return fmt.Errorf("raising the term: %w", err)
	}
	st := n.db.State()
	st.Index, st.Term, st.Clock = end.index+recoverGap, term, max(st.Clock, time.Now().UnixMilli())
	r.Index, r.Epoch = st.Index, randomText(8)
	batch := n.db.Begin()
	if err := n.regroup(keyspace.NewWriter(batch, st.Clock, st.Index, &st.Hash), r); err != nil {
		batch.Abort()
		return fmt.Errorf("writing the new group: %w", err)
	}
	batch.Commit(st)
	var conf raft.Configuration
	for _, m := range r.Kept {
		s := raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.Cluster), Suffrage: raft.Nonvoter}
		if m.Voter {
			s.Suffrage = raft.Voter
		}
		conf.Servers = append(conf.Servers, s)
	}
	c, err := n.db.Freeze()
	if err != nil {
		return fmt.Errorf("writing the recovered state: %w", err)
	}
	defer c.Release()
	err = c.Write(storage.Meta{Index: st.Index, Term: st.Term, Config: raft.EncodeConfiguration(conf), ConfigIndex: st.Index})
	if err != nil {
		return fmt.Errorf("writing the recovered state: %w", err)
	}
	return n.emptyLog()
}

// regroup changes the rows that tell what the group is.
func (n *Node) regroup(tx *keyspace.Tx, r *Recovered) error {
	for _, m := range r.Dropped {
		if _, err := tx.HSet([]byte(removedKey), []byte(m.ID), strconv.AppendInt(nil, tx.Now(), 10)); err != nil {
			return err
		}
		for _, key := range []string{membersKey, learnersKey, drainingKey} {
			if _, err := tx.HDel([]byte(key), []byte(m.ID)); err != nil {
				return err
			}
		}
	}
	if err := forgetStarts(tx, r.Kept); err != nil {
		return err
	}
	if n.opt.Renew == nil {
		return nil
	}
	return n.opt.Renew(tx, r.Epoch)
}

// forgetStarts makes the group take the members' folders as they are: the
// state may be of before or after their last starts.
func forgetStarts(tx *keyspace.Tx, kept []FolderMember) error {
	for _, m := range kept {
		v, ok, err := tx.HGet([]byte(membersKey), []byte(m.ID))
		if err != nil {
			return err
		}
		var info memberInfo
		if !ok || json.Unmarshal(v, &info) != nil {
			continue
		}
		info.Boot = 0
		doc, err := json.Marshal(info)
		if err != nil {
			return err
		}
		if _, err := tx.HSet([]byte(membersKey), []byte(m.ID), doc); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) emptyLog() error {
	first, err := n.logs.FirstIndex()
	if err != nil {
		return err
	}
	last, err := n.logs.LastIndex()
	if err != nil || last == 0 {
		return err
	}
	return n.logs.DeleteRange(first, last)
}

// forget takes the addresses of those who are gone out of the identity.
func (n *Node) forget(kept []FolderMember) error {
	return n.keep(func(id *Identity) {
		id.Peers = maps.Clone(id.Peers)
		maps.DeleteFunc(id.Peers, func(peer, _ string) bool {
			return !slices.ContainsFunc(kept, func(m FolderMember) bool { return m.ID == peer })
		})
	})
}

// copyFolder copies a data folder, files and folders only, to a place where
// nothing is yet; all of it is on disk afterwards.
func copyFolder(from, to string) error {
	size := uint64(0)
	err := filepath.WalkDir(from, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == BallastFile {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += uint64(info.Size())
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fail(CodeExists, "there is something at "+to+" already: give another place for the copy")
	}
	if free := diskOf(filepath.Dir(to)).Free; free > 0 && size > free {
		return fail(CodeNoSpace, fmt.Sprintf("the copy takes %d bytes, the disk of %s has %d left: give another place for it", size, to, free))
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if err := os.MkdirAll(filepath.Join(to, rel), 0o700); err != nil {
				return err
			}
			return storage.SyncDir(filepath.Dir(filepath.Join(to, rel)))
		case d.Type().IsRegular() && d.Name() != BallastFile:
			return copyFile(path, filepath.Join(to, rel))
		}
		return nil // the socket, the ballast
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}
