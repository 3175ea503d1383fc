package redis_test

import (
	"fmt"
	"github.com/parlorchat/parlor/storage/redis/redistest"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// A search finds what looking at every member finds, wherever it is and however
// large: over the date line, at the poles, round the world.
func TestASearchMissesNobody(t *testing.T) {
	o := newOurs()
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 1500 {
		lon, lat := r.Float64()*360-180, r.Float64()*170-85
		if i%3 == 0 { // many are near each other
			lon, lat = 179.9+r.Float64()*0.1, 84+r.Float64()
		}
		o.do("GEOADD", "g", strconv.FormatFloat(lon, 'f', 6, 64), strconv.FormatFloat(lat, 'f', 6, 64), fmt.Sprint("m", i))
	}
	for range 150 {
		lon, lat := fmt.Sprint(r.Float64()*360-180), fmt.Sprint(r.Float64()*170-85)
		if r.IntN(3) == 0 {
			lon, lat = "-179.95", "84.5"
		}
		o.do("ZREM", "g", "center")
		o.do("GEOADD", "g", lon, lat, "center")
		radius := math.Exp(r.Float64()*10 + 7)
		want := 0
		for i := range 1500 {
			d, err := strconv.ParseFloat(o.do("GEODIST", "g", "center", fmt.Sprint("m", i)).Text(), 64)
			if err != nil {
				t.Fatal(err)
			}
			if d <= radius {
				want++
			}
		}
		got := o.do("GEOSEARCH", "g", "FROMMEMBER", "center", "BYRADIUS", fmt.Sprint(radius), "m")
		if len(got.Elems)-1 != want {
			t.Fatalf("%v m around %s %s are %d members, found %d", radius, lon, lat, want, len(got.Elems)-1)
		}
		if y, _ := strconv.ParseFloat(lat, 64); math.Abs(y) > 60 || radius > 1e6 {
			continue // squares near a pole are no squares
		}
		// The largest square inside the circle holds no more, the one around it no less.
		for side, ok := range map[float64]func(n int) bool{
			radius * math.Sqrt2: func(n int) bool { return n <= want }, radius * 2.001: func(n int) bool { return n >= want },
		} {
			n := len(o.do("GEOSEARCH", "g", "FROMMEMBER", "center", "BYBOX", fmt.Sprint(side), fmt.Sprint(side), "m").Elems) - 1
			if !ok(n) {
				t.Fatalf("%d in a box of %v m around %s %s, %d in the circle", n, side, lon, lat, want)
			}
		}
	}
}

// Stored distances are those of Redis up to the last digits, which sines have.
func TestDistancesAreStored(t *testing.T) {
	server, o := redistest.Start(t), newOurs()
	both := func(args ...string) (mine, theirs string) {
		return show(o.do(args...)), show(server.Do(args...))
	}
	both("GEOADD", "g", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania", "12.4964", "41.9028", "Rome")
	for _, args := range [][]string{
		{"GEOSEARCHSTORE", "d", "g", "FROMMEMBER", "Rome", "BYBOX", "1000", "2000", "km", "STOREDIST"},
		{"GEORADIUS", "g", "13", "38", "300", "mi", "STOREDIST", "d"},
	} {
		if mine, theirs := both(args...); mine != theirs {
			t.Fatalf("%q answers %s, Redis %s", args, mine, theirs)
		}
		for _, city := range []string{"Palermo", "Catania", "Rome"} {
			mine := o.do("ZSCORE", "d", city)
			theirs, err := strconv.ParseFloat(server.Do("ZSCORE", "d", city).Text(), 64)
			if err != nil || math.Abs(mine.Float-theirs) > 1e-9*math.Max(1, theirs) {
				t.Errorf("%q: %s is %v away, in Redis %v", args, city, mine.Float, theirs)
			}
		}
	}
}
