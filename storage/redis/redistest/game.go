package redistest

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Game says how many random commands a test is to run, those that are usual or
// PARLOR_DIFFERENTIAL, and of which seed.
func Game(t testing.TB, usual int) (commands int, seed uint64) {
	t.Helper()
	if n, asked := number(t, "PARLOR_DIFFERENTIAL"); asked {
		usual = int(n)
	}
	return usual, Seed(t)
}

// Seed is that of a test's random input. In go test it is the same each time,
// so that what fails came with the last change; whoever sets PARLOR_DIFFERENTIAL
// gets one that nobody has had yet, or that of PARLOR_DIFFERENTIAL_SEED.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed, given := number(t, "PARLOR_DIFFERENTIAL_SEED")
	if _, asked := number(t, "PARLOR_DIFFERENTIAL"); asked && !given {
		seed = uint64(time.Now().UnixNano())
	} else if !given {
		seed = 1
	}
	t.Logf("PARLOR_DIFFERENTIAL_SEED=%d", seed)
	return seed
}

func number(t testing.TB, name string) (n uint64, given bool) {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n, true
}
