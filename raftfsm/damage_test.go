package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// damagedLog is a log on disk and what was written to it.
type damagedLog struct {
	dir, segment string
	content      []byte // of the last segment, without the zeros at its end
	logs         map[uint64]raft.Log
	ends         []int  // where the appends end, in content
	last         uint64 // index
}

// writeLog writes entries of all kinds, in appends of one to three.
func writeLog(t *testing.T) *damagedLog {
	t.Helper()
	d := &damagedLog{dir: t.TempDir(), logs: map[uint64]raft.Log{}}
	w, err := wal.Open(d.dir, wal.WithLogger(hclog.NewNullLogger()), wal.WithSegmentSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	store := NewLogStore(w, func(err error) { t.Fatal(err) })
	for batch := range 30 {
		var logs []*raft.Log
		for range 1 + batch%3 {
			d.last++
			l := entry(d.last, request(bob, 1, d.last, set(fmt.Sprint("key", d.last), batch)))
			switch d.last % 7 {
			case 3:
				l.Type, l.Data = raft.LogNoop, nil
			case 5:
				l.Type, l.Data = raft.LogConfiguration, raft.EncodeConfiguration(testConfiguration())
			}
			l.Term = 1 + d.last/10
			logs = append(logs, l)
		}
		if err := store.StoreLogs(logs); err != nil {
			t.Fatal(err)
		}
		for _, l := range logs {
			d.logs[l.Index] = *l
		}
		segments, _ := filepath.Glob(filepath.Join(d.dir, "*.wal"))
		d.segment = slices.Max(segments)
		if d.content, err = os.ReadFile(d.segment); err != nil {
			t.Fatal(err)
		}
		end, _ := goodPrefix(d.content)
		d.ends = append(d.ends, end)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// every is between the bytes that a test looks at: some in the tests of every
// day, all of them in the battery (make damage).
func every(bytes int) int {
	if os.Getenv("PARLOR_DAMAGE") != "" {
		return 1
	}
	return max(1, bytes/60) | 1
}

// open gives the outcome of opening a damaged log and reading all of it: the
// last index that was read, or an error. What is read must be what was written.
func (d *damagedLog) open(t *testing.T, content []byte) (last uint64, err error) {
	t.Helper()
	if err := os.WriteFile(d.segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("a panic: %v", p)
		}
	}()
	if err := CheckLog(d.dir); err != nil {
		return 0, err
	}
	w, err := wal.Open(d.dir, wal.WithLogger(hclog.NewNullLogger()), wal.WithSegmentSize(64<<10))
	if err != nil {
		return 0, err
	}
	defer w.Close()
	store := NewLogStore(w, func(fatal error) { err = fatal })
	first, _ := store.FirstIndex()
	last, _ = store.LastIndex()
	for i := first; i <= last && i > 0; i++ {
		var l raft.Log
		if gerr := store.GetLog(i, &l); gerr != nil {
			return 0, gerr
		}
		want := d.logs[i]
		if l.Index != want.Index || l.Term != want.Term || l.Type != want.Type || string(l.Data) != string(want.Data) {
			t.Fatalf("entry %d is %+v, written was %+v", i, l, want)
		}
	}
	return last, err
}

// The last append may be torn: by a crash it never was acknowledged. Whatever
// is cut off, what is left is right.
func TestALogThatIsCutOffHasNothingWrong(t *testing.T) {
	d := writeLog(t)
	used := d.ends[len(d.ends)-1]
	for at := used; at >= max(0, used-4096); at -= every(4096) {
		cut := slices.Clone(d.content)
		clear(cut[at:])
		last, err := d.open(t, cut)
		if err != nil {
			t.Fatalf("cut at byte %d of %d: %v", at, used, err)
		}
		if at == used && last != d.last || last > d.last {
			t.Fatalf("cut at byte %d: the log ends at %d", at, last)
		}
	}
	short := d.content[:used-5] // the file itself is shorter
	if _, err := d.open(t, short); err != nil {
		t.Errorf("a short file: %v", err)
	}
}

// A bit that turns over anywhere is found, unless it is in the last append,
// which looks as after a crash then: it is gone, and never wrong.
func TestABitThatTurnsOverInTheLogIsFound(t *testing.T) {
	d := writeLog(t)
	used, before := d.ends[len(d.ends)-1], d.ends[len(d.ends)-2]
	harmless, found := 0, 0
	step := every(used)
	for at := 0; at < used; at += step {
		bad := slices.Clone(d.content)
		bad[at] ^= 1 << (at % 8)
		last, err := d.open(t, bad)
		switch {
		case err != nil:
			found++
		case last == d.last: // in what nobody reads: padding, times
			harmless++
		case at < before:
			t.Fatalf("a bit at byte %d: the log ends at %d instead of %d and nobody says so", at, last, d.last)
		}
	}
	t.Logf("%d bits: %d found, %d without effect", used, found, harmless)
	if found < used/step/2 {
		t.Errorf("only %d of %d were found", found, used/step)
	}
}

// What is beside the data is covered too: in a sealed segment the store below
// has no sums at all.
func TestTheSumOfAnEntryCoversItsHead(t *testing.T) {
	for _, whole := range []*raft.Log{
		entry(7, request(bob, 1, 1, set("k", 1))),
		{Index: 8, Term: 3, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(testConfiguration())},
		{Index: 9, Term: 3, Type: raft.LogNoop},
	} {
		whole.Extensions = sumOf(whole)
		if err := checkSum(whole); err != nil {
			t.Error(err)
		}
		for name, change := range map[string]func(*raft.Log){
			"index": func(l *raft.Log) { l.Index++ },
			"term":  func(l *raft.Log) { l.Term ^= 4 },
			"type":  func(l *raft.Log) { l.Type ^= 1 },
			"data":  func(l *raft.Log) { l.Data = append(slices.Clone(l.Data), 1) },
			"sum": func(l *raft.Log) {
				l.Extensions = append(slices.Clone(l.Extensions[:sumSize-1]), l.Extensions[sumSize-1]^1)
			},
		} {
			l := *whole
			if change(&l); !errors.Is(checkSum(&l), ErrDamaged) {
				t.Errorf("%v: a changed %s is not found", whole.Type, name)
			}
		}
	}
}

// A snapshot that is changed anywhere on its way is refused, and the table is
// as it was.
func TestABitThatTurnsOverInASnapshotIsFound(t *testing.T) {
	a, b := newMember(t, alice), newMember(t, bob)
	a.fill(40)
	a.mustSnapshot()
	b.fill(3)
	before := b.db.State()
	whole := a.sent()
	tries := 0
	for at := 0; at < len(whole); at += 1 + len(whole)/97 {
		bad := slices.Clone(whole)
		bad[at] ^= 1 << (at % 8)
		for _, stream := range [][]byte{bad, whole[:at]} {
			tries++
			sink, err := b.snaps.Create(1, 40, 1, testConfiguration(), 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sink.Write(stream); err != nil {
				t.Fatal(err)
			}
			if sink.Close() == nil {
				t.Fatalf("changed or cut at byte %d of %d, and accepted", at, len(whole))
			}
		}
	}
	if b.db.State() != before || len(b.fatal) > 0 {
		t.Errorf("after %d bad snapshots: state %+v, fatal %v", tries, b.db.State(), b.fatal)
	}
}

// Any bytes may be in a segment: they are looked at without a panic, in time
// and memory in proportion.
func FuzzCheckLog(f *testing.F) {
	var whole []byte
	for n := range 3 {
		append1 := make([]byte, segmentHeader*(1-min(n, 1)))
		append1 = append(append1, frameEntry, 0, 0, 0, 5, 0, 0, 0, 'e', 'n', 't', 'r', 'y', 0, 0, 0)
		append1 = append(append1, frameCommit, 0, 0, 0)
		append1 = binary.LittleEndian.AppendUint32(append1, crc32.Checksum(append1[:len(append1)-4], castagnoli))
		whole = append(whole, append1...)
	}
	f.Add(whole)
	f.Add(whole[:50])
	path := filepath.Join(f.TempDir(), "00000000000000000001-0000000000000000.wal")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		before := allocated()
		err := CheckLog(filepath.Dir(path))
		if took := allocated() - before; took > 8*uint64(len(b))+1<<20 {
			t.Fatalf("%d bytes took %d bytes of memory", len(b), took)
		}
		if err != nil && !errors.Is(err, ErrLogDamaged) {
			t.Fatal(err)
		}
	})
}
