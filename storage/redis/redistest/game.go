package redistest

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Game says how many random commands a test is to run, and of which seed. Of
// go test the game is the same each time, so that what fails in it came with
// the last change; whoever asks for more commands by PARLOR_DIFFERENTIAL plays
// a game that nobody has played yet, or the one of PARLOR_DIFFERENTIAL_SEED.
func Game(t testing.TB, usual int) (commands int, seed uint64) {
	t.Helper()
	n, asked := number(t, "PARLOR_DIFFERENTIAL")
	if !asked {
		n = uint64(usual)
	}
	seed, given := number(t, "PARLOR_DIFFERENTIAL_SEED")
	switch {
	case given:
	case asked:
		seed = uint64(time.Now().UnixNano())
	default:
		seed = 1
	}
	t.Logf("PARLOR_DIFFERENTIAL=%d PARLOR_DIFFERENTIAL_SEED=%d", n, seed)
	return int(n), seed
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
