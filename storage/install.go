package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"go.etcd.io/bbolt"
)

// Incoming is a snapshot on its way in: a file beside the data file, which
// takes its place by Install. A crash before that leaves the table as it was.
type Incoming struct {
	db       *DB
	f        *steadyFile
	sum      hash.Hash
	size     int64  // bytes written to f
	tail     []byte // the last bytes received, perhaps the trailer
	verified bool
	closed   bool
	adopted  bool  // it becomes one of this table's group
	state    State // after Finish
	meta     Meta  // after Finish
}

// Receive begins to receive a snapshot. The caller writes a Stream to it,
// then calls Finish and Install, or Discard.
func (db *DB) Receive() (*Incoming, error) {
	f, err := os.CreateTemp(db.dir, incomingPrefix+"*"+incomingSuffix)
	if err != nil {
		return nil, fmt.Errorf("receiving snapshot: %w", err)
	}
	return &Incoming{db: db, f: &steadyFile{File: f}, sum: sha256.New()}, nil
}

// Write implements io.Writer. It holds back the last bytes, which may be the
// trailer.
func (in *Incoming) Write(p []byte) (int, error) {
	n := len(p)
	if keep := int(trailerSize); len(in.tail)+n > keep {
		surplus := len(in.tail) + n - keep
		old := in.tail[:min(surplus, len(in.tail))]
		if err := in.append(old); err != nil {
			return 0, err
		}
		fresh := p[:surplus-len(old)]
		if err := in.append(fresh); err != nil {
			return 0, err
		}
		in.tail = append(in.tail[:0], in.tail[len(old):]...)
		p = p[len(fresh):]
	}
	in.tail = append(in.tail, p...)
	return n, nil
}

func (in *Incoming) append(p []byte) error {
	n, err := in.f.Write(p)
	in.sum.Write(p[:n])
	in.size += int64(n)
	if err != nil {
		return fmt.Errorf("receiving snapshot: %w", err)
	}
	return nil
}

// Adopt makes the snapshot one of this table's group, whichever group it was
// taken from: a backup that is restored elsewhere. It must come before Finish.
func (in *Incoming) Adopt() { in.adopted = true }

// Finish checks what was received and files it under m, or, if m is nil,
// under what it was filed under before. The snapshot is on disk after that,
// but not in use. An error means that the snapshot is no good or could not be
// stored; the table is not affected.
func (in *Incoming) Finish(m *Meta) error {
	if err := in.checkTrailer(); err != nil {
		return fmt.Errorf("received snapshot: %w", err)
	}
	if err := in.f.Sync(); err != nil {
		return fmt.Errorf("received snapshot: %w", err)
	}
	if err := in.f.Close(); err != nil {
		return fmt.Errorf("received snapshot: %w", err)
	}
	in.closed = true
	if err := in.refile(m); err != nil {
		return fmt.Errorf("received snapshot: %w", err)
	}
	in.db.crash("install-checked")
	in.verified = true
	return nil
}

func (in *Incoming) checkTrailer() error {
	t := in.tail
	switch {
	case in.closed:
		return errors.New("finished before")
	case len(t) < int(trailerSize) || !bytes.HasPrefix(t, []byte(streamMagic)):
		return errors.New("it is incomplete")
	case binary.BigEndian.Uint64(t[len(streamMagic):]) != uint64(in.size):
		return fmt.Errorf("it has %d bytes, its trailer speaks of %d",
			in.size, binary.BigEndian.Uint64(t[len(streamMagic):]))
	case !bytes.Equal(t[len(streamMagic)+8:], in.sum.Sum(nil)):
		return errors.New("its checksum is wrong")
	}
	return nil
}

// refile checks the structure of the received file and changes its meta.
func (in *Incoming) refile(m *Meta) (err error) {
	defer turnFault(&err)()
	f, err := openFile(in.f.Name(), 0)
	if err != nil {
		return err
	}
	defer func() {
		f.release()
		err = errors.Join(err, f.err)
	}()
	b, err := f.begin()
	if err != nil {
		return err
	}
	err = in.check(b)
	state, meta := b.state, b.meta
	if err == nil && b.writing != 0 {
		err = fmt.Errorf("it holds part of checkpoint %d", b.writing)
	}
	b.release()
	if err != nil {
		return err
	}
	if m != nil {
		meta = *m
		state.Index, state.Term = m.Index, m.Term
	}
	in.state, in.meta = state, meta
	return f.bolt.Update(func(tx *bbolt.Tx) error {
		if in.adopted {
			if err := tx.Bucket(bucketMeta).Put(metaCluster, []byte(in.db.opt.ClusterID)); err != nil {
				return err
			}
		}
		if err := reincarnate(tx); err != nil {
			return err
		}
		return putMeta(tx, state, meta)
	})
}

// maxPageCheck is the size of a file up to which its pages are checked when it
// arrives: that takes memory in proportion.
const maxPageCheck = 1 << 30

func (in *Incoming) check(b *base) error {
	if have, want := b.cluster(), in.db.opt.ClusterID; want != "" && have != want && !in.adopted {
		return fmt.Errorf("it belongs to group %q, not to %q", have, want)
	}
	var first error
	if b.tx.Size() <= maxPageCheck {
		for err := range b.tx.Check() { // to the end: a goroutine sends
			if first == nil {
				first = fmt.Errorf("its structure is damaged: %w", err)
			}
		}
	}
	if first != nil {
		return first
	}
	return walkRows(b, func(_, _ []byte, damage error) bool {
		if damage != nil {
			first = fmt.Errorf("it is damaged: %w", damage)
		}
		return first == nil
	})
}

// turnFault makes an error of a panic or a memory fault: bbolt trusts the
// pages that it reads.
func turnFault(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			*err = fmt.Errorf("its structure is damaged: %v", p)
		}
	}
}

// Discard removes what was received. It does nothing after Install.
func (in *Incoming) Discard() error {
	if in.f == nil {
		return nil
	}
	name := in.f.Name()
	if !in.closed {
		_ = in.f.Close() // it goes away in any case
	}
	in.f, in.closed = nil, true
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("discarding snapshot: %w", err)
	}
	return nil
}

// Install replaces the table with a snapshot that Finish found good. Only the
// apply goroutine calls it, between batches. Checkpoints frozen before become
// stale; readers that are under way keep the table that they began with.
func (db *DB) Install(in *Incoming) error {
	if !in.verified || in.f == nil {
		return errors.New("installing snapshot: it is not verified, or was installed before")
	}
	// The apply goroutine waits here. A checkpoint that is being written would
	// be for nothing: it gives way.
	db.installing.Add(1)
	db.disk.Lock()
	db.installing.Add(-1)
	defer db.disk.Unlock()
	if err := db.usable(); err != nil {
		return err
	}
	db.stopCopying()
	db.crash("install-begins")
	f, b, err := db.swapFile(in.f.Name())
	if err != nil {
		return db.fatal(fmt.Errorf("installing snapshot: %w", err))
	}
	in.f, db.partial = nil, false
	db.replace(f, b)
	db.considerGarbage()
	db.crash("install-published")
	return nil
}

// swapFile puts another data file in the place of the present one and opens
// it. The caller holds disk, and publishes the file.
func (db *DB) swapFile(tmp string) (*file, *base, error) {
	path := filepath.Join(db.dir, dataName)
	before := keepFormer(db.ctx, path)
	if err := replaceFile(tmp, path); err != nil {
		if before != nil {
			_ = before.file.Close()
		}
		return nil, nil, err
	}
	db.file.former = before // before the last reference to it is given up
	db.crash("file-renamed")
	// It belongs to the file before. If it survives, it is known for that.
	if err := db.removeJournal(); err != nil {
		return nil, nil, err
	}
	f, err := db.openFile(path)
	if err != nil {
		return nil, nil, err
	}
	b, err := f.begin()
	if err != nil {
		f.release()
		return nil, nil, err
	}
	return f, b, nil
}

func (db *DB) usable() error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.unusable()
}

// unusable says why the table cannot be changed any more; the caller holds mu.
func (db *DB) unusable() error {
	if db.closed {
		return ErrClosed
	}
	if err := db.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// replace publishes another data file; nothing of the table before remains.
func (db *DB) replace(f *file, b *base) {
	db.mu.Lock()
	oldFile, oldBase := db.file, db.base
	db.epoch++
	db.file, db.recent, db.copied, db.counts = f, db.opt.newRecent(), nil, new(counts)
	db.view = view{active: db.opt.newOverlay(), base: b, gaps: db.opt.newGaps(), state: b.state}
	db.saved = saved{b.state, b.meta}
	db.former = append(stillOpen(db.former), oldFile)
	db.account()
	db.mu.Unlock()
	db.settle()
	oldBase.release()
	oldFile.release()
}

// stillOpen leaves out files that the last reader has left.
func stillOpen(files []*file) []*file {
	return slices.DeleteFunc(files, func(f *file) bool {
		select {
		case <-f.done:
			return true
		default:
			return false
		}
	})
}
