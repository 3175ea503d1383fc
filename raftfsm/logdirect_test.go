package raftfsm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Pieces of all sizes are appended, by one who goes on in the middle of a block
// now and then, while others read: what they find is what was appended, and
// zeros behind it.
func TestWhatIsAppendedPastThePageCacheIsWhatIsRead(t *testing.T) {
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
		reader, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		want, got := make([]byte, size), make([]byte, size)
		a := new(appender)
		for end := 0; ; {
			n := 1 + random.IntN(1<<(2+random.IntN(20))) // up to 2 MB
			if end+n > size {
				break
			}
			piece := want[end : end+n]
			for i := range piece {
				piece[i] = byte(1 + random.IntN(255))
			}
			if err := a.append(f, piece, int64(end)); err != nil {
				t.Fatal(err)
			}
			from := max(end-random.IntN(3*directBlock), 0)
			end += n
			to := min(end+random.IntN(3*directBlock), size)
			if _, err := reader.ReadAt(got[from:to], int64(from)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[from:to], want[from:to]) {
				t.Fatalf("seed %d: bytes %d to %d, of which those from %d were appended last, are not what was written", seed, from, to, end-n)
			}
			if random.IntN(8) == 0 {
				if err := a.close(); err != nil {
					t.Fatal(err)
				}
				a = new(appender)
			}
		}
		if a.cached {
			t.Log("this file system wants all writes to go through the page cache")
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the file is not what was appended: %v", seed, err)
		}
		if err := errors.Join(a.close(), f.Close(), reader.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// An append that was given up is begun anew at the same place, with other bytes.
func TestAnAppendMayGoBack(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	var a appender
	want := []byte{}
	for i, at := range []int{0, 3000, 9000, 3000, 5000, 4096, 0, 10} {
		piece := bytes.Repeat([]byte{byte(i + 1)}, 7000)
		if err := a.append(f, piece, int64(at)); err != nil {
			t.Fatal(err)
		}
		want = append(want[:at:at], piece...)
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("after append %d, at %d: not what was appended, %v", i, at, err)
		}
	}
	if err := errors.Join(a.close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A disk that has larger blocks than these refuses to write, as any does in the
// middle of a block. It all goes through the page cache then.
func TestWhatIsRefusedGoesThroughThePageCache(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	var a appender
	if err := a.append(f, []byte("begin"), 0); err != nil {
		t.Fatal(err)
	}
	if a.cached {
		t.Skip("this file system refuses such writes anyway")
	}
	a.at, a.used = 1, 4
	copy(a.blocks, "egin")
	if err := a.append(f, bytes.Repeat([]byte{'x'}, 5000), 5); err != nil {
		t.Fatal(err)
	}
	if !a.cached {
		t.Skip("this file system takes such writes anywhere")
	}
	if err := a.append(f, []byte("end"), 5005); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("begin%send", bytes.Repeat([]byte{'x'}, 5000))
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != want {
		t.Fatalf("%d bytes, want %d, or other ones: %v", len(got), len(want), err)
	}
	if err := errors.Join(a.close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// What an append to the log and its sync cost, where all of the file has been
// written before.
//
//	go test ./raftfsm -run '^$' -bench LogAppend
func BenchmarkLogAppend(b *testing.B) {
	for _, size := range []int{500, 3000, 14000} {
		for how, cached := range map[string]bool{"cached": true, "direct": false} {
			b.Run(fmt.Sprintf("%d/%s", size, how), func(b *testing.B) {
				const room = 16 << 20
				f, err := os.Create(filepath.Join(b.TempDir(), "log"))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.Write(make([]byte, room)); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				a := appender{cached: cached}
				piece := bytes.Repeat([]byte{1}, size)
				b.SetBytes(int64(size))
				at := 0
				for b.Loop() {
					if at+size > room {
						at = 0
					}
					if err := a.append(f, piece, int64(at)); err != nil {
						b.Fatal(err)
					}
					if err := syncData(f); err != nil {
						b.Fatal(err)
					}
					at += size
				}
				if !cached && a.cached {
					b.Fatal("this file system refuses writes past the page cache")
				}
				if err := errors.Join(a.close(), f.Close()); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
