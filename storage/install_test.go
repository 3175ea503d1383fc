package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

func sendAll(t testing.TB, db *DB) []byte {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	data, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != s.Size() || s.Size() != db.SnapshotSize() {
		t.Fatalf("%d bytes, announced %d", len(data), s.Size())
	}
	return data
}

// receive gives a finished snapshot.
func receive(db *DB, data []byte, m *Meta) (*Incoming, error) {
	in, err := db.Receive()
	if err != nil {
		return nil, err
	}
	_, err = in.Write(data)
	if err == nil {
		err = in.Finish(m)
	}
	if err != nil {
		return nil, errors.Join(err, in.Discard())
	}
	return in, nil
}

func install(t testing.TB, db *DB, data []byte, m *Meta) {
	t.Helper()
	in, err := receive(db, data, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Install(in); err != nil {
		t.Fatal(err)
	}
}

func putFormat(t testing.TB, db *DB, version uint32) {
	t.Helper()
	err := db.file.bolt.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(metaFormat, binary.BigEndian.AppendUint32(nil, version))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// source is a table of a group with a few pages of rows in its data file.
func source(t testing.TB, group string) *DB {
	t.Helper()
	db := tempDB(t, Options{ClusterID: group})
	b := db.Begin()
	for i := range 500 {
		b.Set([]byte("key"+strings.Repeat("x", i%50)+string(rune('a'+i%26))), bytes.Repeat([]byte{byte(i)}, 40))
	}
	b.Commit(State{Index: 50, Term: 2, Clock: 99, Hash: Hash{Hi: 1, Lo: 2}})
	checkpoint(t, db)
	return db
}

// The snapshot is the checkpoint, whatever is written while it is sent.
func TestStreamIsOfOneInstant(t *testing.T) {
	from, to := source(t, "g"), tempDB(t, Options{ClusterID: "g"})
	want := dbContents(t, from)
	s, err := from.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	head := make([]byte, 100)
	if _, err := io.ReadFull(s, head); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5) {
		set(from, 51+i, "another", strings.Repeat("row", 3000))
		checkpoint(t, from)
	}
	rest, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	install(t, to, append(head, rest...), nil)
	if !maps.Equal(dbContents(t, to), want) {
		t.Error("the snapshot is not the table as it was at the beginning")
	}
	if s.Meta().Index != 50 || s.State() != to.State() {
		t.Errorf("meta %+v, state %+v, installed %+v", s.Meta(), s.State(), to.State())
	}
}

// A crash at any point of an installation leaves the old table or the new.
func TestCrashDuringInstall(t *testing.T) {
	data := sendAll(t, source(t, "g"))
	old := map[string]string{"old": "row"}
	for name, c := range map[string]struct {
		do        func(t *testing.T, db *DB)
		installed bool
	}{
		"while receiving": {func(t *testing.T, db *DB) {
			in, err := db.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.Write(data[:5000]); err != nil {
				t.Fatal(err)
			}
		}, false},
		"after the check": {func(t *testing.T, db *DB) {
			if _, err := receive(db, data, &Meta{Index: 60, Term: 2}); err != nil {
				t.Fatal(err)
			}
		}, false},
		"after the installation": {func(t *testing.T, db *DB) {
			install(t, db, data, &Meta{Index: 60, Term: 2})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			db := openDB(t, dir, Options{ClusterID: "g"})
			set(db, 1, "old", "row")
			checkpoint(t, db)
			set(db, 2, "lost", "row")
			c.do(t, db)
			db.Close()
			db = openDB(t, dir, Options{ClusterID: "g"})
			defer db.Close()
			s, m := db.Checkpointed()
			if c.installed {
				if len(dbContents(t, db)) < 100 || s.Index != 60 || m.Index != 60 || s.Clock != 99 {
					t.Errorf("not the new table: %+v %+v", s, m)
				}
			} else if !maps.Equal(dbContents(t, db), old) || s.Index != 1 {
				t.Errorf("not the old table: %+v", s)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*"+incomingSuffix)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// Readers that are under way when the table is replaced keep theirs.
func TestReadersKeepTheTableTheyBeganWith(t *testing.T) {
	data := sendAll(t, source(t, "g"))
	db := tempDB(t, Options{ClusterID: "g"})
	set(db, 1, "old", "in the file")
	checkpoint(t, db)
	set(db, 2, "young", "in memory")
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for i := range uint64(3) {
		install(t, db, data, &Meta{Index: 60 + i, Term: 2})
	}
	if got := contents(s); !maps.Equal(got, map[string]string{"old": "in the file", "young": "in memory"}) || s.State().Index != 2 {
		t.Errorf("the reader sees %v at %d", got, s.State().Index)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Errorf("the stream broke: %v", err)
	}
	if st := db.Stats(); st.Epoch != 3 {
		t.Errorf("epoch %d", st.Epoch)
	}
}

// What a Batch read may be kept, although the file it came from is gone.
func TestMemoryFromABatchLivesOn(t *testing.T) {
	data := sendAll(t, source(t, "g"))
	db := tempDB(t, Options{ClusterID: "g", LookedUp: "k"})
	set(db, 1, "a", "value in the file", "k", "value that is kept")
	checkpoint(t, db)
	b := db.Begin()
	v, _ := b.Get([]byte("a"))
	kept, _ := b.Get([]byte("k"))
	var keys, values [][]byte
	keep := func(k, v []byte) bool { keys, values = append(keys, k), append(values, v); return true }
	b.Ascend(nil, []byte("b"), keep)
	b.Descend(nil, []byte("b"), keep)
	b.Commit(State{Index: 2})
	for _, p := range db.recent.pieces {
		clear(p[:cap(p)]) // as it will be used again
	}
	if string(kept) != "value that is kept" {
		t.Error("the memory of a row that was kept changed")
	}
	install(t, db, data, &Meta{Index: 60, Term: 2}) // unmaps the old file
	if string(v) != "value in the file" || string(values[0]) != string(v) || string(values[1]) != string(v) || string(keys[0]) != "a" || string(keys[1]) != "a" {
		t.Error("the memory changed")
	}
	_ = append(keys[0], "overflow"...)
	if string(values[0]) != "value in the file" {
		t.Error("appending to a key writes over its value")
	}
}

// A snapshot that is damaged anywhere, or of another group, is refused and
// changes nothing.
func TestBadSnapshotIsRefused(t *testing.T) {
	data := sendAll(t, source(t, "g"))
	db := tempDB(t, Options{ClusterID: "g"})
	set(db, 1, "old", "row")
	refuse := func(what string, data []byte) {
		t.Helper()
		if _, err := receive(db, data, nil); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for at := 0; at < len(data); at += 997 {
		bad := bytes.Clone(data)
		bad[at] ^= 0x10
		refuse("flipped bit", bad)
	}
	for at := len(data) - int(trailerSize); at < len(data); at++ {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		refuse("flipped bit in the trailer", bad)
	}
	refuse("empty", nil)
	refuse("only a trailer", data[len(data)-int(trailerSize):])
	refuse("cut", data[:len(data)-1])
	refuse("cut by a page", append(bytes.Clone(data[:len(data)-int(trailerSize)-4096]), data[len(data)-int(trailerSize):]...))
	refuse("longer", append(bytes.Clone(data), 0))
	refuse("of another group", sendAll(t, source(t, "other")))
	later := source(t, "g")
	putFormat(t, later, formatVersion+1)
	set(later, 51, "a", "b")
	refuse("of a later version", sendAll(t, reopenable(t, later)))
	refuse("structure", sealed(make([]byte, 5*4096)))
	if got := dbContents(t, db); !maps.Equal(got, map[string]string{"old": "row"}) {
		t.Errorf("rows %v", got)
	}
	if left, _ := filepath.Glob(filepath.Join(db.dir, "*"+incomingSuffix)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// reopenable swaps in a fresh read transaction, which a changed format would
// otherwise hide from.
func reopenable(t testing.TB, db *DB) *DB {
	t.Helper()
	tx, err := db.file.bolt.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	old := db.base
	db.base = &base{file: db.file, tx: tx, rows: &fileRows{bucket: tx.Bucket(bucketRows)}}
	db.base.refs.Store(1)
	db.file.refs.Add(1)
	old.release()
	return db
}

// sealed makes a stream with a right trailer of any file.
func sealed(file []byte) []byte {
	in := &Incoming{sum: sha256.New()}
	in.sum.Write(file)
	out := append(bytes.Clone(file), streamMagic...)
	out = binary.BigEndian.AppendUint64(out, uint64(len(file)))
	return in.sum.Sum(out)
}

func TestInstallNeedsAVerifiedSnapshot(t *testing.T) {
	db := tempDB(t, Options{})
	in, err := db.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if db.Install(in) == nil {
		t.Error("installed what was not verified")
	}
	if err := errors.Join(in.Discard(), in.Discard()); err != nil {
		t.Error(err)
	}
	done, err := receive(db, sendAll(t, source(t, "")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Install(done); err != nil {
		t.Fatal(err)
	}
	if db.Install(done) == nil {
		t.Error("installed twice")
	}
	if err := done.Discard(); err != nil {
		t.Errorf("discarding what is in use must do nothing: %v", err)
	}
	if _, err := os.Stat(filepath.Join(db.dir, dataName)); err != nil {
		t.Error(err)
	}
}

// A stream that nobody reads from frees its pages by itself.
func TestStalledStreamEnds(t *testing.T) {
	db := tempDB(t, Options{StreamStall: time.Millisecond})
	set(db, 1, "a", strings.Repeat("x", 100_000))
	checkpoint(t, db)
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	<-s.done
	if _, err := io.Copy(io.Discard, s); !errors.Is(err, ErrStalled) {
		t.Errorf("error %v", err)
	}
	s.Close()
}

func TestCloseBreaksStreamsOff(t *testing.T) {
	db := openDB(t, t.TempDir(), Options{StreamRate: 1 << 20})
	set(db, 1, "a", strings.Repeat("x", 1_000_000))
	checkpoint(t, db)
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- db.Close() }()
	if _, err := io.Copy(io.Discard, s); err == nil {
		t.Error("the stream went on to its end")
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	s.Close()
}

// Any bytes are refused or, if they are a whole snapshot, installed; no bytes
// stop the process. With a right checksum the structure is what is tested.
func FuzzReceive(f *testing.F) {
	whole := sendAll(f, source(f, "g"))
	f.Add(whole)
	f.Add(whole[:8192])
	f.Add(whole[len(whole)-int(trailerSize):])
	f.Add([]byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		db, err := Open(filepath.Join(dir, "table"), Options{ClusterID: "g", MapSize: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		in, err := receive(db, data, nil)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64*uint64(len(data))+16<<20 {
			t.Fatalf("%d bytes took %d bytes of memory", len(data), took)
		}
		if err != nil {
			return
		}
		if err := db.Install(in); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sendAll(t, db), data) && len(dbContents(t, db)) == 0 {
			t.Fatal("something else was installed")
		}
	})
}

func TestASnapshotOfAnotherGroupIsAdoptedWhenAsked(t *testing.T) {
	data := sendAll(t, source(t, "one"))
	db := tempDB(t, Options{ClusterID: "another"})
	in, err := db.Receive()
	if err != nil {
		t.Fatal(err)
	}
	in.Adopt()
	if _, err := in.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := in.Finish(nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Install(in); err != nil {
		t.Fatal(err)
	}
	if got := db.ClusterID(); got != "another" {
		t.Errorf("the table is of group %q", got)
	}
	if _, err := receive(db, sendAll(t, db), nil); err != nil {
		t.Errorf("what it sends now is refused by its own group: %v", err)
	}
}
