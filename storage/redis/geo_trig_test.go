package redis

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// The functions are right to a few units of the last place.
func TestAnglesAreThoseOfTheLibrary(t *testing.T) {
	near := func(name string, x, got, want float64) {
		if off := math.Abs(got - want); off > 5*(math.Nextafter(math.Abs(want), 4)-math.Abs(want)) && off > 1e-18 {
			t.Errorf("%s of %v is %v, want %v", name, x, got, want)
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 100_000 {
		angle := (r.Float64() - 0.5) * 4 * math.Pi
		if math.Abs(math.Sin(angle)) > 1e-3 { // nearer, the last place of the angle itself counts
			near("sine", angle, sine(angle), math.Sin(angle))
		}
		if math.Abs(math.Cos(angle)) > 1e-3 {
			near("cosine", angle, cosine(angle), math.Cos(angle))
		}
		tiny := angle * 1e-9
		near("sine", tiny, sine(tiny), math.Sin(tiny))
		x := r.Float64()
		near("arcsine", x, arcsine(x), math.Atan2(x, math.Sqrt((1-x)*(1+x)))) // math.Asin is worse near 1
		near("arcsine", x*x*x*1e-3, arcsine(x*x*x*1e-3), math.Asin(x*x*x*1e-3))
	}
	for _, x := range []float64{0, 0.5, 1} {
		near("arcsine", x, arcsine(x), math.Asin(x))
	}
}

// The bits are those that were once computed, whatever the processor.
func TestGeographyHasTheSameBitsEverywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	sum := sha256.New()
	add := func(values ...float64) {
		for _, f := range values {
			_ = binary.Write(sum, binary.BigEndian, math.Float64bits(f))
		}
	}
	for range 50_000 {
		p, q := somewhere(r), somewhere(r)
		middle := placeOf(float64(p.cell()))
		add(float64(p.cell()), middle.lon, middle.lat, p.distance(q), middle.distance(p), latDistance(p.lat, q.lat))
		for _, area := range []geoArea{{center: p, radius: product(q.lat, q.lat) * 1000, width: -1}, {center: p, width: q.lat * q.lat * 500, height: q.lon * q.lon * 100}} {
			for _, span := range area.ranges() {
				add(float64(span.from), float64(span.to))
			}
		}
	}
	const want = "20aa09ae5c9dc9348618517cdf088d7a"
	if got := fmt.Sprintf("%x", sum.Sum(nil)[:16]); got != want {
		t.Errorf("the bits are %s, want %s", got, want)
	}
}

// somewhere draws a place, with the same bits everywhere too.
func somewhere(r *rand.Rand) geoPoint {
	return geoPoint{product(r.Float64(), 360) - 180, product(product(r.Float64(), 2)-1, maxLat)}
}
