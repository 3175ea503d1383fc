package redis_test

import (
	"strings"
	"testing"
)

// Numbers may be as long as Redis reads them, and are refused where it does.
func TestLongNumbers(t *testing.T) {
	o := newOurs()
	zeros := strings.Repeat("0", 700)
	play(t, o, strings.NewReplacer("ZEROS", zeros).Replace(`
		ZADD z 1ZEROSe-700 m => 1
		ZSCORE z m => "1"
		ZADD z 1ZEROS m => -ERR value is not a valid float
		ZADD z 0.ZEROS1 m => -ERR value is not a valid float
		ZADD z 1e-400 m => -ERR value is not a valid float
		ZADD z 0e-400 m => 0
		ZADD z -0x0.0p9 m => 0
		ZADD z 0x0.1p-2000 m => -ERR value is not a valid float
		ZCOUNT z -1e400 1e-400 => 1
		ZCOUNT z 1e400 +inf => 0
		INCRBYFLOAT f 1ZEROSZEROSZEROSZEROSZEROSZEROSZEROSZEROS => -ERR value is not a valid float
		INCRBYFLOAT f 0.ZEROS => "0"
		INCRBYFLOAT f 4e-4951 => "0"
		INCRBYFLOAT f 1e-4960 => -ERR value is not a valid float
		HINCRBYFLOAT h f inf => -ERR value is NaN or Infinity
		HINCRBYFLOAT h f -infinity => -ERR value is NaN or Infinity
		EXISTS h => 0
		SET f inf => +OK
		INCRBYFLOAT f 1 => -ERR increment would produce NaN or Infinity
	`))
}

// Where scores differ names are not in order; what is found is what Redis finds
// in a small set.
func TestNamesOfDifferentScores(t *testing.T) {
	play(t, newOurs(), `
		ZADD z 1 a 2 b 3 c 4 d => 4
		ZRANGE z [b [c BYLEX => ["b" "c"]
		ZRANGE z [c [b BYLEX REV => ["c" "b"]
		ZRANGESTORE y z [b [c BYLEX => 2
		ZADD x 1 b 2 e 3 a 4 c => 4
		ZRANGE x [b [d BYLEX => ["b"]
		ZRANGE x - [d BYLEX => ["b"]
		ZRANGE x + [b BYLEX REV => ["c"]
		ZRANGE x (b + BYLEX => ["e" "a" "c"]
		ZRANGE x [a + BYLEX => ["b" "e" "a" "c"]
		ZLEXCOUNT x [a (c => 1
		ZRANGE x (c [b BYLEX REV => []
		ZRANGE x [a [a BYLEX => []
		ZREMRANGEBYLEX x [a [c => 1
		ZRANGE x 0 -1 => ["e" "a" "c"]
	`)
}
