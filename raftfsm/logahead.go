package raftfsm

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ahead writes zeros into a file of the log that the file system has only
// promised room for, before the log gets there. What can be read there does not
// change; appends are cheaper from there on. The log and the zeros never touch
// the same bytes: each append gives way first, and then the zeros begin anew
// some way behind it.
type ahead struct {
	path string

	mu   sync.Mutex   // held while zeros are written
	next atomic.Int64 // where they are written next; what is before it is the log's. Changed under mu
}

const (
	// aheadShare: zeros are written when the log has filled this part of the
	// file: a node that writes little has no need of them.
	aheadShare = 256
	// aheadLead is how far behind an append they begin.
	aheadLead = 256 << 10
	// aheadStep is how much is written at a time. An append that is synced
	// meanwhile waits for it.
	aheadStep = 256 << 10
	aheadPage = 4 << 10
)

// newAhead is for a file that has been appended to up to end.
func newAhead(path string, end int64) *ahead {
	a := &ahead{path: path}
	a.next.Store(behind(end))
	return a
}

// behind gives where zeros begin if the log ends at end: in a page of their own.
func behind(end int64) int64 { return (end + aheadLead + aheadPage - 1) / aheadPage * aheadPage }

// giveWay is called by who is about to append up to end.
func (a *ahead) giveWay(end int64) {
	if end <= a.next.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next.Store(behind(end))
}

// write writes zeros up to the end of the file, which may have been made with
// another size than files are now. rest is called after each step, and says
// whether there is time for another. The file has a descriptor of its own for
// it: an error is told once to each, and the log must not miss any.
func (a *ahead) write(rest func(took time.Duration) bool) (err error) {
	f, err := os.OpenFile(a.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	var to appender
	defer func() { err = errors.Join(err, to.close(), f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, aheadStep)
	for {
		began := time.Now()
		n, err := a.step(&to, f, info.Size(), zeros)
		if n > 0 && err == nil {
			err = syncData(f)
		}
		if n == 0 || err != nil || !rest(time.Since(began)) {
			return err
		}
	}
}

// step says how much it has written, 0 at the end.
func (a *ahead) step(to *appender, f *os.File, size int64, zeros []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.next.Load()
	n := max(min(int64(len(zeros)), size-at), 0)
	if n == 0 {
		return 0, nil
	}
	if err := to.append(f, zeros[:n], at); err != nil {
		return 0, err
	}
	a.next.Store(at + n)
	return int(n), nil
}
