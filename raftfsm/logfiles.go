package raftfsm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"github.com/parlorchat/parlor/storage"
)

// LogFiles is what the log is in: files of a fixed size, which are filled one
// after the other. An append is on disk when its file was synced, so how long
// that takes is how long a write takes.
//
// A file that the file system has only promised room for costs more than the
// bytes that are appended: each sync has to write down, too, that another piece
// of it is in use now, on most file systems through a journal of their own.
// So a file of zeros is written in good time, slowly, and becomes the next one
// of the log; what is appended then replaces bytes that are there, and the sync
// writes these and nothing else. Where there is no such file yet, or no room
// for one, the log goes on in a file as raft-wal makes it, and zeros are written
// ahead of it there (see ahead); so they are in the file that it goes on with
// after a start, of which nobody knows what it is.
//
// A file that the log has no more use for becomes the spare one if there is
// none; else it goes in pieces (storage.Shed).
type LogFiles struct {
	walfs.FS
	dir  string
	size int64 // of a file

	mu      sync.Mutex
	ready   bool     // there is a spare file
	wanted  bool     // the log has asked for one
	ahead   *ahead   // to be written; nil: there is none
	used    []string // paths of files that the log has no more use for
	working bool     // a goroutine sees to these two
	once    sync.Once
	closing chan struct{} // closed by Close
	worker  sync.WaitGroup
}

const (
	spareFile    = "spare"       // zeros, all on disk
	spareNewFile = "spare.new"   // on its way there
	usedPrefix   = "spare.used." // the log has no more use for it
	// spareStep is how much of a spare file is written at a time; between two
	// steps the disk is left to others for spareRest times as long.
	spareStep = 1 << 20
	spareRest = 4
	// spareShare: the spare file is begun when a file of the log is full by this
	// part of it.
	spareShare = 16
	// shortestRest is between two pieces of a file that goes.
	shortestRest = 10 * time.Millisecond
)

// NewLogFiles is for the log in a folder, which must exist, in files of size
// bytes. It must be closed after the log.
//
// A spare file that is left from before is removed: after a power cut it may
// be one that had got its place in the log, and back its old name, but not
// all of its zeros.
func NewLogFiles(dir string, size int) (*LogFiles, error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); name == spareFile || name == spareNewFile || strings.HasPrefix(name, usedPrefix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("preparing the log's files: %w", err)
	}
	return &LogFiles{dir: dir, size: int64(size), closing: make(chan struct{})}, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Segments is what raft-wal is given to open the log with.
func (l *LogFiles) Segments() types.SegmentFiler { return segment.NewFiler(l.dir, l) }

// Close waits until nothing is written any more.
func (l *LogFiles) Close() error {
	l.once.Do(func() { close(l.closing) })
	l.worker.Wait()
	return nil
}

// Delete implements types.VFS. raft-wal calls it when nobody reads the file
// any more, and has on disk by then that it is none of the log's.
func (l *LogFiles) Delete(dir, name string) error {
	used := filepath.Join(l.dir, usedPrefix+strings.TrimSuffix(name, filepath.Ext(name)))
	if err := os.Rename(filepath.Join(dir, name), used); err != nil {
		return err
	}
	// Nothing is written over it before it has lost its name for good.
	if err := storage.SyncDir(dir); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = append(l.used, used)
	l.work()
	return nil
}

// Create implements types.VFS.
func (l *LogFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if f, err := l.takeSpare(name, size); f != nil || err != nil {
		return f, err
	}
	f, err := l.FS.Create(dir, name, size)
	if made, ok := f.(*walfs.File); ok && err == nil {
		return &logFile{File: &made.File, all: l, unnamed: true, promised: true}, nil
	}
	return f, err
}

// takeSpare gives the spare file a name; nil: there is none.
func (l *LogFiles) takeSpare(name string, size uint64) (types.WritableFile, error) {
	l.mu.Lock()
	ready := l.ready && int64(size) == l.size
	l.ready = l.ready && !ready
	l.mu.Unlock()
	if !ready {
		return nil, nil
	}
	path := filepath.Join(l.dir, name)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("a file of the log is there already: %w", errors.Join(err, fs.ErrExist))
	}
	err := os.Rename(filepath.Join(l.dir, spareFile), path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // somebody has made room
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &logFile{File: f, all: l, unnamed: true}, nil
}

// OpenWriter implements types.VFS.
func (l *LogFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &logFile{File: f, all: l, promised: true}, nil
}

// logFile is a file that is appended to.
type logFile struct {
	*os.File
	appender appender
	all      *LogFiles
	unnamed  bool   // its name is not on disk yet
	asked    bool   // for a spare file
	promised bool   // the file system may have only promised room for what is not filled
	appended int64  // by this process
	ahead    *ahead // nil: no zeros are written ahead
}

// WriteAt implements io.WriterAt.
func (f *logFile) WriteAt(p []byte, at int64) (int, error) {
	if f.ahead != nil {
		f.ahead.giveWay(at + int64(len(p)))
	}
	if err := f.appender.append(f.File, p, at); err != nil {
		return 0, err
	}
	end := at + int64(len(p))
	f.appended += int64(len(p))
	if f.promised && f.ahead == nil && f.appended >= f.all.size/aheadShare {
		f.ahead = newAhead(f.Name(), end)
		f.all.writeAhead(f.ahead)
	}
	if !f.asked && end >= f.all.size/spareShare {
		f.asked = true
		f.all.prepare()
	}
	return len(p), nil
}

// Close implements io.Closer.
func (f *logFile) Close() error { return errors.Join(f.appender.close(), f.File.Close()) }

// Sync implements types.WritableFile. The first one puts the file's name on
// disk too: until then nobody was told that anything is in it.
func (f *logFile) Sync() error {
	if !f.unnamed {
		return syncData(f.File)
	}
	if err := f.File.Sync(); err != nil {
		return err
	}
	if err := storage.SyncDir(f.all.dir); err != nil {
		return err
	}
	f.unnamed = false
	return nil
}

// prepare has a spare file made, if there is none.
func (l *LogFiles) prepare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = !l.ready
	l.work()
}

// writeAhead has zeros written into the file that is being filled.
func (l *LogFiles) writeAhead(a *ahead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = a
	l.work()
}

// work sees to what there is to do, in the background. The caller holds mu.
func (l *LogFiles) work() {
	if l.working {
		return
	}
	l.working = true
	l.worker.Go(func() {
		for l.workOn() {
		}
	})
}

// workOn does one thing; false: there is nothing to do, or no time. What fails
// is left: it only spares time, and if the disk is full or broken the log will
// find out.
func (l *LogFiles) workOn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var todo func()
	if !l.closed() {
		todo = l.todo()
	}
	if todo == nil {
		l.working = false
		return false
	}
	l.mu.Unlock()
	todo()
	l.mu.Lock()
	return true
}

// todo takes one thing that is to be done. The caller holds mu.
func (l *LogFiles) todo() func() {
	if a := l.ahead; a != nil {
		l.ahead = nil
		return func() { _ = a.write(l.rest) }
	}
	used := ""
	if n := len(l.used); n > 0 {
		used, l.used = l.used[n-1], l.used[:n-1]
	}
	switch {
	case l.ready && used != "":
		return func() { _ = l.giveBack(used) }
	case !l.ready && (l.wanted || used != ""):
		l.wanted = false
		return func() {
			err := l.makeSpare(used)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ready = err == nil
		}
	}
	return nil
}

func (l *LogFiles) closed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// rest leaves the disk to others after a step that took so long; false: there
// is no time for another step.
func (l *LogFiles) rest(took time.Duration) bool {
	select {
	case <-time.After(max(spareRest*took, shortestRest)):
		return true
	case <-l.closing:
		return false
	}
}

// giveBack takes a file away that nobody needs: in pieces while there is time,
// and what is left of it then at once.
func (l *LogFiles) giveBack(used string) error {
	f, err := os.OpenFile(used, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = errors.Join(storage.Shed(f, 0, l.rest), f.Close())
	return errors.Join(err, removeIfThere(used))
}

// makeSpare writes zeros over a file that the log has used, or to a new one
// (""). If that fails there is no spare file: the disk may be full, and the log
// has more right to what is left.
func (l *LogFiles) makeSpare(used string) error {
	tmp := filepath.Join(l.dir, spareNewFile)
	if used != "" {
		if err := os.Rename(used, tmp); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err := errors.Join(l.zero(f), f.Close()); err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	return os.Rename(tmp, filepath.Join(l.dir, spareFile))
}

// zero makes a file one of zeros, all of them on disk.
func (l *LogFiles) zero(f *os.File) (err error) {
	var a appender
	defer func() { err = errors.Join(err, a.close()) }()
	zeros := make([]byte, spareStep)
	for at := int64(0); at < l.size; {
		began := time.Now()
		n := min(l.size-at, spareStep)
		if err := a.append(f, zeros[:n], at); err != nil {
			return err
		}
		if err := syncData(f); err != nil {
			return err
		}
		at += n
		if !l.rest(time.Since(began)) {
			return errors.New("the log was closed")
		}
	}
	// The last append to a file may have made it longer.
	if err := f.Truncate(l.size); err != nil {
		return err
	}
	return f.Sync()
}

var (
	_ types.VFS          = (*LogFiles)(nil)
	_ types.WritableFile = (*logFile)(nil)
)
