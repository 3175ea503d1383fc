package storage

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What is written again is what was there. That it is on disk then, though a
// sync had failed, is shown by the sick disks of testdata/chaos.
func TestRewritingChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "left")
	if err := Rewrite(path, 0, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	content := bytes.Repeat([]byte("page"), 5000)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	for _, part := range [][2]int64{{0, 0}, {0, 10}, {4000, 9000}, {19000, 20000}, {19000, 30000}, {25000, 30000}} {
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
		if err := Rewrite(path, part[0], part[1]); err != nil {
			t.Fatalf("%v: %v", part, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%v: the file is another one: %v", part, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if some := part[0] < part[1] && part[0] < int64(len(content)); info.ModTime().After(long) != some {
			t.Errorf("%v: something was written: %v, want %v", part, !some, some)
		}
	}
}
