package redis_test

import (
	"crypto/sha256"
	"fmt"
	"github.com/parlorchat/parlor/storage/redis/redistest"
	"math/rand/v2"
	"strings"
	"testing"
)

// What commands compute with fractions has the same bits on every processor:
// nodes of a group need not be alike.
func TestFractionsAreTheSameEverywhere(t *testing.T) {
	templates := []string{
		"INCRBYFLOAT $K $F", "INCRBYFLOAT $K $D", "SET $K $F", "HINCRBYFLOAT $H $M $F", "HINCRBYFLOAT $H $M $D", "ZADD $Z $F $M", "ZADD $Z INCR $F $M", "ZINCRBY $Z $F $M", "ZINCRBY $Z $D $M",
		"ZUNIONSTORE $Z 2 $Z $Z WEIGHTS $F $F", "ZINTERSTORE $Z 2 $Z $Z WEIGHTS $W $F AGGREGATE SUM|MIN|MAX", "GEOADD $p $x $y $m", "GEOADD $p $x $y $M $x $y $m", "GEORADIUS $p $x $y 5000 km STOREDIST $Z",
		"GEOSEARCHSTORE $Z $p FROMLONLAT $x $y BYBOX 9000 9000 km STOREDIST", "GEODIST $p $M $M $u", "GEOPOS $p $M $m", "PFADD $h { $V } { $m }", "PFCOUNT $h", "ZRANGE $Z 0 -1 WITHSCORES", "SORT $Z BY string* STORE $l",
	}
	o := newOurs()
	m := &redistest.Maker{R: rand.New(rand.NewPCG(5, 5)), Base: 1_700_000_000}
	sum := sha256.New()
	for range 20_000 {
		args := m.Command(m.Pick(templates...))
		fmt.Fprintln(sum, strings.Join(args, " "), show(o.do(args...)))
	}
	const want = "c0e0a747b2e05d7659fa69cd346f0357"
	if got := fmt.Sprintf("%x", sum.Sum(nil)[:16]); got != want {
		t.Errorf("the replies have the sum %s, want %s", got, want)
	}
}
