package redis

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/parlorchat/parlor/storage/command"
)

// Errors that several commands answer. The texts are those of Redis.
var (
	errOverflow   = command.Errorf("ERR", "increment or decrement would overflow")
	errNaN        = command.Errorf("ERR", "increment would produce NaN or Infinity")
	errRange      = command.Errorf("ERR", "value is out of range")
	errPositive   = command.Errorf("ERR", "value is out of range, must be positive")
	errOffset     = command.Errorf("ERR", "offset is out of range")
	errCursor     = command.Errorf("ERR", "invalid cursor")
	errStringSize = command.Errorf("ERR", "string exceeds maximum allowed size (proto-max-bulk-len)")
	errTooRandom  = command.Errorf("ERR", "value is out of range: no more than 1048576 random elements at a time")
)

// maxRandom bounds what a negative count of SRANDMEMBER and its kin may ask
// for, which is not bounded by the size of the key.
const maxRandom = 1 << 20

// parseInt reads an integer as Redis does: digits, perhaps a minus, nothing
// else, no leading zeros.
func parseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits := b
	if b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || (digits[0] == '0' && len(b) > 1) {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

func intArg(b []byte) (int64, error) {
	n, ok := parseInt(b)
	if !ok {
		return 0, command.ErrNotInteger
	}
	return n, nil
}

// Bounds of the text of a number, in bytes.
const (
	maxFloatText = 800       // what strconv reads exactly; the longest float has 309 digits
	maxLongText  = 5<<10 - 1 // as in Redis
)

// parseFloat reads a number as C does, but refuses NaN, and what is too large
// or too small for a float.
func parseFloat(b []byte) (float64, bool) {
	f, inRange, ok := parseAnyFloat(b)
	return f, ok && inRange
}

// parseAnyFloat is parseFloat that makes infinity or 0 of what is out of range.
func parseAnyFloat(b []byte) (f float64, inRange, ok bool) {
	if len(b) == 0 || len(b) > maxFloatText || strings.ContainsRune(string(b), '_') {
		return 0, false, false
	}
	s := string(b)
	if lower := strings.ToLower(s); strings.Contains(lower, "0x") && !strings.Contains(lower, "p") {
		s += "p0" // C does not insist on the exponent
	}
	f, err := strconv.ParseFloat(s, 64)
	tooLarge := errors.Is(err, strconv.ErrRange)
	return f, !tooLarge && (f != 0 || zeroDigits(s)), (err == nil || tooLarge) && !math.IsNaN(f)
}

// zeroDigits says whether a number that was read as 0 is 0, and not just less
// than the smallest there is.
func zeroDigits(s string) bool {
	s = strings.ToLower(s)
	mantissa, _, _ := strings.Cut(s, "e")
	if hex := strings.Index(s, "0x"); hex >= 0 {
		mantissa, _, _ = strings.Cut(s[hex+2:], "p")
	}
	return strings.Trim(mantissa, "+-.0") == ""
}

func floatArg(b []byte) (float64, error) {
	f, ok := parseFloat(b)
	if !ok {
		return 0, command.ErrNotFloat
	}
	return f, nil
}

// parseLong reads a number with the 64 bits of mantissa that INCRBYFLOAT
// counts with.
func parseLong(b []byte) (*big.Float, bool) {
	if len(b) == 0 || len(b) > maxLongText {
		return nil, false
	}
	s := string(b)
	digits := strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+"))
	if digits == "inf" || digits == "infinity" {
		return new(big.Float).SetInf(s[0] == '-'), true
	}
	base, exponent := 10, "e"
	if strings.HasPrefix(digits, "0x") {
		base, exponent = 0, "p"
	} else if strings.Contains(digits, "p") {
		return nil, false
	}
	if i := strings.Index(digits, exponent); strings.Contains(digits, "_") || (i >= 0 && len(digits)-i > 7) {
		return nil, false // such an exponent is beyond the range, and slow to find out
	}
	f, _, err := big.ParseFloat(s, base, 64, big.ToNearestEven)
	if err != nil || f.MantExp(nil) > 16384 || (f.Sign() != 0 && f.MantExp(nil) < -16444) {
		return nil, false
	}
	return f, true
}

// formatLong writes a number with up to 17 decimals.
func formatLong(f *big.Float) []byte {
	s := f.Text('f', 17)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "" || s == "-" || s == "-0" {
		s = "0"
	}
	return []byte(s)
}

// addLong is what INCRBYFLOAT and HINCRBYFLOAT do.
func addLong(a, b *big.Float) ([]byte, error) {
	if a.IsInf() || b.IsInf() {
		return nil, errNaN
	}
	sum := new(big.Float).SetPrec(64).Add(a, b)
	if sum.MantExp(nil) > 16384 {
		return nil, errNaN
	}
	return formatLong(sum), nil
}

// addInt adds without overflow.
func addInt(a, b int64) (int64, error) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, errOverflow
	}
	return a + b, nil
}

func formatInt(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// formatScore writes a score where it is a string in both protocols.
func formatScore(f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return []byte("inf")
	case math.IsInf(f, -1):
		return []byte("-inf")
	}
	return strconv.AppendFloat(nil, f, 'g', 17, 64)
}

// parseCursor reads the cursor of SCAN and its kin.
func parseCursor(b []byte) (uint64, error) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0, errCursor
	}
	return n, nil
}

// random gives the Call's randomness. A read that was given none takes it from
// its time.
func random(c *command.Call) *rand.Rand {
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(uint64(c.Now), c.Index))
	}
	return c.Rand
}

// pack collects bulk strings for a reply.
func pack(items [][]byte) *command.Pack {
	out := command.NewPack(int64(len(items)))
	for _, item := range items {
		out.Bulk(item)
	}
	return &out
}

// span makes the bounds of a range, which may count from the end, into ones
// that do not; ok is false if nothing is in it.
func span(start, stop, n int64) (from, count int64, ok bool) {
	if start < 0 {
		start = max(start+n, 0)
	}
	if stop < 0 {
		stop += n
	}
	stop = min(stop, n-1)
	if start > stop || start >= n {
		return 0, 0, false
	}
	return start, stop - start + 1, true
}
