package raftfsm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/hashicorp/raft-wal/types"
)

// Somebody appends pieces of all sizes while zeros are written as fast as the
// file takes them: none is written over what was appended, and all that was
// not is zeros.
func TestZerosKeepOutOfTheWayOfTheLog(t *testing.T) {
	const size = 8 << 20
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 0))
		path := filepath.Join(t.TempDir(), "log")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		a := newAhead(path, 0)
		written := make(chan error)
		go func() { written <- a.write(func(time.Duration) bool { return true }) }()

		want := make([]byte, size)
		for end := 0; ; {
			n := 1 + random.IntN(1<<(4+random.IntN(17))) // up to 1 MB, which is four times the lead
			if end+n > size*3/4 {
				break
			}
			piece := want[end : end+n]
			for i := range piece {
				piece[i] = byte(1 + random.IntN(255))
			}
			a.giveWay(int64(end + n))
			if _, err := f.WriteAt(piece, int64(end)); err != nil {
				t.Fatal(err)
			}
			end += n
			runtime.Gosched()
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			at := 0
			for got[at] == want[at] {
				at++
			}
			t.Fatalf("seed %d: byte %d of %d is %d, want %d", seed, at, len(got), got[at], want[at])
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that the log has made itself, and one that it goes on with after a
// start, are filled with zeros once some of it has been appended to.
func TestZerosAreWrittenAheadOfTheLog(t *testing.T) {
	const size = 8 << 20
	for opened, open := range map[string]func(*LogFiles, string, string) (types.WritableFile, error){
		"made":         func(l *LogFiles, dir, name string) (types.WritableFile, error) { return l.Create(dir, name, size) },
		"gone on with": (*LogFiles).OpenWriter,
	} {
		dir := t.TempDir()
		if opened != "made" {
			if err := os.WriteFile(filepath.Join(dir, "1.wal"), make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := NewLogFiles(dir, size)
		if err != nil {
			t.Fatal(err)
		}
		f, err := open(files, dir, "1.wal")
		if err != nil {
			t.Fatal(err)
		}
		log := f.(*logFile)
		end := 0
		for piece := []byte("some of the log"); end < size/aheadShare; end += len(piece) {
			if log.ahead != nil {
				t.Fatalf("%s: zeros are written when there are but %d bytes", opened, end)
			}
			if _, err := f.WriteAt(piece, int64(end)); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(time.Minute); log.ahead.next.Load() < size; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: zeros were written up to %d of %d only", opened, log.ahead.next.Load(), size)
			}
		}
		if err := errors.Join(f.Close(), files.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
