//go:build linux

package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A data file that was compacted stays for who reads it still, goes when he has
// left, and is left alone if somebody has given it another name.
func TestAFormerFileGoesWithItsLastReader(t *testing.T) {
	for _, linked := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked %v", linked), func(t *testing.T) {
			dir := t.TempDir()
			db := openDB(t, dir, Options{CompactBytes: -1})
			defer db.Close()
			b := db.Begin()
			for i := range 5000 {
				b.Set(fmt.Appendf(nil, "key%05d", i), make([]byte, 8<<10))
			}
			b.Commit(State{Index: 1})
			c, err := db.Freeze()
			if err != nil {
				t.Fatal(err)
			}
			db.hasty.Add(1) // no breaks
			if err := c.Write(Meta{Index: 1, Term: 1}); err != nil {
				t.Fatal(err)
			}
			db.hasty.Add(-1)
			c.Release()
			before, err := os.Open(filepath.Join(dir, dataName))
			if err != nil {
				t.Fatal(err)
			}
			defer before.Close()
			if linked {
				if err := os.Link(before.Name(), filepath.Join(dir, "kept")); err != nil {
					t.Fatal(err)
				}
			}
			size := sizeNow(t, before)

			reading, leave, left := make(chan struct{}), make(chan struct{}), make(chan error)
			go func() {
				left <- db.Walk(func(r Reader, _ State) error {
					close(reading)
					<-leave
					rows := 0
					r.Ascend(nil, nil, func(_, v []byte) bool { rows += len(v) / (8 << 10); return true })
					if rows != 5000 {
						return fmt.Errorf("%d rows were there", rows)
					}
					return nil
				})
			}()
			<-reading
			if _, err := db.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
			db.mu.RLock()
			former := db.former[len(db.former)-1]
			db.mu.RUnlock()
			if got := sizeNow(t, before); got != size {
				t.Errorf("the file has %d bytes of %d while it is read", got, size)
			}
			close(leave)
			if err := <-left; err != nil {
				t.Error(err)
			}
			<-former.done
			want := int64(0)
			if linked {
				want = size
			}
			if got := sizeNow(t, before); got != want {
				t.Errorf("the file has %d bytes, want %d", got, want)
			}
		})
	}
}

func sizeNow(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
