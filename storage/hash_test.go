package storage

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/zeebo/xxh3"
)

// The state hash is in every data file and compared between members: however
// it is computed, a row's part must stay what it is.
func TestTheHashOfARowIsThatOfItsBytes(t *testing.T) {
	for n := range 600 {
		key, value := bytes.Repeat([]byte{'k'}, n/3), bytes.Repeat([]byte{byte(n)}, n-n/3)
		whole := binary.BigEndian.AppendUint32(nil, uint32(len(key)))
		whole = append(append(whole, key...), value...)
		want := xxh3.New()
		_, _ = want.Write(whole)
		sum := want.Sum128()
		if got := RowHash(key, value); got != (Hash{Hi: sum.Hi, Lo: sum.Lo}) {
			t.Fatalf("the hash of a row of %d bytes is %x, want %x", n, got, sum)
		}
	}
}

func BenchmarkRowHash(b *testing.B) {
	key, value := bytes.Repeat([]byte{'k'}, 20), bytes.Repeat([]byte{'v'}, 111)
	for b.Loop() {
		RowHash(key, value)
	}
}
