package keyspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/keyspace/keyspacetest"
	"pgregory.net/rapid"
)

// A string is the bytes that were put into it, wherever and in whatever pieces,
// however it is kept, and its rows agree with each other after each change.
func TestStringsThatAreChangedInPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s keyspacetest.State
		s.Now = 1000
		want := map[string][]byte{}
		keyOf := rapid.SampledFrom([]string{"a", "b"})
		offsetOf := rapid.OneOf(rapid.Int64Range(0, 9000), rapid.Int64Range(15_000, 20_000), rapid.Int64Range(0, 120_000),
			rapid.SampledFrom([]int64{0, 1999, 2000, 2001, 3999, 4000, 16<<10 - 1, 16 << 10, 16<<10 + 1}))
		bytesOf := rapid.Custom(func(t *rapid.T) []byte {
			n := rapid.SampledFrom([]int{0, 1, 2, 30, 1999, 2000, 2001, 7000, 40_000}).Draw(t, "length")
			return bytes.Repeat([]byte{rapid.SampledFrom([]byte{0, 0, 'x', 'y'}).Draw(t, "byte")}, n)
		})
		write := func(t *rapid.T, fn func(tx *keyspace.Tx) error) {
			if err := s.Write(fn); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				key, v := keyOf.Draw(t, "key"), bytesOf.Draw(t, "value")
				write(t, func(tx *keyspace.Tx) error { return tx.Set([]byte(key), v) })
				want[key] = bytes.Clone(v)
			},
			"change": func(t *rapid.T) {
				key, at, v := keyOf.Draw(t, "key"), offsetOf.Draw(t, "offset"), bytesOf.Draw(t, "value")
				now := want[key]
				if rapid.Bool().Draw(t, "append") {
					at = int64(len(now))
				}
				if end := int(at) + len(v); end > len(now) {
					now = append(now, make([]byte, end-len(now))...)
				}
				copy(now[at:], v)
				want[key] = now
				write(t, func(tx *keyspace.Tx) error {
					n, err := tx.SetRange([]byte(key), at, v)
					if n != int64(len(now)) {
						return fmt.Errorf("the length is %d, want %d", n, len(now))
					}
					return err
				})
			},
			"copy or rename": func(t *rapid.T) {
				from, to := []byte("a"), []byte("b")
				keep := rapid.Bool().Draw(t, "keep")
				if want["a"] == nil {
					return
				}
				write(t, func(tx *keyspace.Tx) error {
					if keep {
						return tx.Copy(from, 0, to)
					}
					return tx.Rename(from, to)
				})
				want["b"] = bytes.Clone(want["a"])
				if !keep {
					delete(want, "a")
				}
			},
			"expire": func(t *rapid.T) {
				key := keyOf.Draw(t, "key")
				write(t, func(tx *keyspace.Tx) error { tx.SetExpire([]byte(key), s.Now+5); return nil })
				s.Now += 5
				delete(want, key)
			},
			"another type": func(t *rapid.T) {
				key := keyOf.Draw(t, "key")
				write(t, func(tx *keyspace.Tx) error {
					tx.Delete([]byte(key))
					_, err := tx.SAdd([]byte(key), []byte("member"))
					return err
				})
				err := s.Write(func(tx *keyspace.Tx) error { _, err := tx.SetRange([]byte(key), 0, []byte("v")); return err })
				if !errors.Is(err, keyspace.ErrWrongType) {
					t.Fatalf("a set was changed as a string: %v", err)
				}
				write(t, func(tx *keyspace.Tx) error { return tx.Set([]byte(key), []byte("v")) })
				want[key] = []byte("v")
			},
			"": func(t *rapid.T) {
				if err := s.Verify(); err != nil {
					t.Fatal(err)
				}
				tx := s.Read()
				for _, key := range []string{"a", "b"} {
					v, there := want[key]
					got, ok, err := tx.Get([]byte(key))
					if err != nil || ok != there || !bytes.Equal(got, v) {
						t.Fatalf("%s is there %v with %d bytes, want %v with %d, %v", key, ok, len(got), there, len(v), err)
					}
					if n, ok, _ := tx.StrLen([]byte(key)); ok != there || n != int64(len(v)) {
						t.Fatalf("%s has the length %d, want %d", key, n, len(v))
					}
					at, n := offsetOf.Draw(t, "from"), offsetOf.Draw(t, "bytes")
					part := v[min(at, int64(len(v))):min(at+n, int64(len(v)))]
					if got, err := tx.GetRange([]byte(key), at, n); err != nil || !bytes.Equal(got, part) {
						t.Fatalf("%d bytes from %d on of %s are %d, want %d, %v", n, at, key, len(got), len(part), err)
					}
				}
			},
		})
	})
}

// A string has its limit, however it grows.
func TestStringsDoNotGrowWithoutEnd(t *testing.T) {
	var s keyspacetest.State
	for at, want := range map[int64]error{keyspace.MaxValue - 1: nil, keyspace.MaxValue: keyspace.ErrValueTooLarge, 1 << 62: keyspace.ErrValueTooLarge} {
		err := s.Write(func(tx *keyspace.Tx) error { _, err := tx.SetRange([]byte("k"), at, []byte("v")); return err })
		if !errors.Is(err, want) {
			t.Errorf("a byte at %d: %v, want %v", at, err, want)
		}
	}
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
	// One byte far away takes one row, not sixteen megabytes.
	if v, err := s.Read().GetRange([]byte("k"), keyspace.MaxValue-3, 100); err != nil || string(v) != "\x00\x00v" {
		t.Errorf("the last bytes are %q, %v", v, err)
	}
}
