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
	if err := RewriteHead(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	long := time.Now().Add(-time.Hour)
	for _, size := range []int{10, boltHead, 3 * boltHead} {
		content := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chtimes(path, long, long)); err != nil {
			t.Fatal(err)
		}
		if err := RewriteHead(path); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: the file is another one: %v", size, err)
		}
		if info, err := os.Stat(path); err != nil || !info.ModTime().After(long) {
			t.Errorf("%d bytes: nothing was written: %v", size, err)
		}
	}
}
