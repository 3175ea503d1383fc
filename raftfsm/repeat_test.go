package raftfsm

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The compact history decides as a plain set of numbers does, also after it
// was stored and read again.
func TestHistoryIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{row: historyRow(alice)}
		boot, below, done := uint64(0), uint64(0), map[uint64]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			b := rapid.SampledFrom([]uint64{1, 1, 1, 1, 1, 1, 1, 1, 2, 3}).Draw(t, "boot")
			seq := rapid.Uint64Range(0, 30).Draw(t, "seq")
			doneBelow := rapid.SampledFrom([]uint64{0, 0, 0, seq, seq / 2}).Draw(t, "done below")
			if b > boot {
				boot, below, done = b, 0, map[uint64]bool{}
			}
			want := b == boot && seq >= below && !done[seq]
			if b == boot {
				done[seq] = true
				below = max(below, doneBelow)
			}
			if got := h.admit(b, seq, doneBelow); got != want {
				t.Fatalf("admit(%d, %d, %d) = %v", b, seq, doneBelow, got)
			}
			if rapid.Bool().Draw(t, "store") {
				stored := &history{row: h.row}
				if err := stored.decode(h.encode()); err != nil {
					t.Fatal(err)
				}
				h = stored
			}
		}
	})
}

// In the usual case, in order or nearly so, it stays a few bytes.
func TestHistoryStaysSmall(t *testing.T) {
	h := &history{}
	for seq := uint64(1); seq <= 10_000; seq += 2 {
		h.admit(1, seq+1, max(seq, 100)-100)
		h.admit(1, seq, max(seq, 100)-100)
	}
	if n := len(h.encode()); n > 20 {
		t.Errorf("%d bytes for an unbroken sequence", n)
	}
}

func TestHistoryAtTheEndOfNumbers(t *testing.T) {
	h := &history{}
	if !h.admit(1, math.MaxUint64, math.MaxUint64) || h.admit(1, math.MaxUint64, 0) || h.admit(1, 5, 0) {
		t.Error("numbers wrapped around")
	}
}

func TestDamagedHistoryIsNoticed(t *testing.T) {
	h := &history{}
	h.admit(1, 5, 0)
	h.admit(1, 500, 0)
	b := h.encode()
	for n := range b {
		if n == 0 {
			continue
		}
		if err := (&history{}).decode(b[:n]); err == nil && n != 16 && n != 18 {
			t.Errorf("cut to %d bytes of %d: not noticed", n, len(b))
		}
	}
}
