package storage

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// half gives a folder with a table of which most rows were deleted.
func half(t testing.TB) (dir string, rows map[string]string) {
	t.Helper()
	dir = t.TempDir()
	db := openDB(t, dir, Options{ClusterID: "g"})
	b := db.Begin()
	for i := range 5000 {
		b.Set([]byte(fmt.Sprintf("key%05d", i)), []byte(strings.Repeat("v", 100)))
	}
	b.Commit(State{Index: 7, Term: 2, Clock: 9, Hash: Hash{Hi: 1, Lo: 2}})
	checkpoint(t, db)
	b = db.Begin()
	for i := range 4900 {
		b.Delete([]byte(fmt.Sprintf("key%05d", i)))
	}
	b.Commit(State{Index: 8, Term: 2, Clock: 10, Hash: Hash{Hi: 3, Lo: 4}})
	checkpoint(t, db)
	rows = dbContents(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, rows
}

func TestCompactOffline(t *testing.T) {
	dir, rows := half(t)
	before, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if before.State.Index != 8 || before.ClusterID != "g" || before.FreeBytes == 0 || before.Unfinished != 0 {
		t.Errorf("inspected: %+v", before)
	}
	r, err := Compact(dir, CompactOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows != 100 || r.Before != before.FileBytes || r.After*5 > r.Before {
		t.Errorf("compacted: %+v, before %+v", r, before)
	}
	after, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	if after.State != before.State || after.Meta.Index != before.Meta.Index || after.ClusterID != "g" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	db := openDB(t, dir, Options{ClusterID: "g"})
	defer db.Close()
	if got := dbContents(t, db); !maps.Equal(got, rows) {
		t.Errorf("%d rows after, %d before", len(got), len(rows))
	}
}

func TestCheckOffline(t *testing.T) {
	dir, rows := half(t)
	var seen int
	r, err := Check(dir, CheckOptions{Verify: func(rd Reader, s State) error {
		seen = len(contents(rd))
		return errors.New("as the layer above says")
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows != int64(len(rows)) || seen != len(rows) || r.Kinds['k'].Rows != r.Rows || r.RowBytes != 100*108 || r.State.Index != 8 {
		t.Errorf("report %+v, verified %d rows", r, seen)
	}
	if len(r.Damage) != 1 || !strings.Contains(r.Damage[0].Error(), "layer above") {
		t.Errorf("damage %v", r.Damage)
	}
}

func TestOfflineToolsRefuse(t *testing.T) {
	for name, do := range map[string]func(dir string) error{
		"inspect": func(dir string) error { _, err := Inspect(dir); return err },
		"check":   func(dir string) error { _, err := Check(dir, CheckOptions{}); return err },
		"compact": func(dir string) error { _, err := Compact(dir, CompactOptions{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			empty := t.TempDir()
			if err := do(empty); err == nil || !strings.Contains(err.Error(), "no table in") {
				t.Errorf("a folder without a table: %v", err)
			}
			if left, _ := os.ReadDir(empty); len(left) > 0 {
				t.Errorf("something was made: %v", left)
			}
			dir := t.TempDir()
			db := openDB(t, dir, Options{})
			if err := do(dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
				t.Errorf("a folder that is in use: %v", err)
			}
			db.Close()
			if err := os.WriteFile(filepath.Join(dir, dataName), []byte("not a table"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := do(dir); err == nil {
				t.Error("a file that is no table was accepted")
			}
		})
	}
}

// A file without its list of free pages is read from beginning to end when it
// is opened, and a list that is kept as one makes each commit slower.
func TestTheFreePagesAreKept(t *testing.T) {
	db := tempDB(t, Options{})
	set(db, 1, "a", "b")
	checkpoint(t, db)
	if b := db.file.bolt; b.NoFreelistSync || b.FreelistType != bbolt.FreelistMapType {
		t.Errorf("free pages are not kept (%v), or as %q", b.NoFreelistSync, b.FreelistType)
	}
}
