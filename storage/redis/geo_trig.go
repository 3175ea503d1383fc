package redis

import "math"

// What GEORADIUS … STORE and STOREDIST keep must have the same bits on every
// node. The functions of package math do not promise that: they may be written
// in assembly for one processor and not for another, and where there is an
// instruction for it the compiler makes one rounding of a product and a sum.
// Here a product is rounded before anything is added to it, which is what the
// conversion in product is for, and the rest is division and square root, which
// are the same everywhere. Errors are a few units of the last place.

// product is a*b, rounded.
func product(a, b float64) float64 { return float64(a * b) }

// Parts of π/2, the first two short enough for their product with a few to be
// exact.
const (
	halfPi1 = 0x1.921fb544p+00
	halfPi2 = 0x1.0b4611a6p-34
	halfPi3 = 0x1.3198a2e037073p-69
)

// reduce gives the nearest multiple of π/2, and what is left of an angle, for
// angles of a few turns.
func reduce(angle float64) (quarter int, rest float64) {
	n := math.Floor(product(angle, 2/math.Pi) + 0.5)
	rest = angle - product(n, halfPi1)
	rest -= product(n, halfPi2)
	rest -= product(n, halfPi3)
	return int(n) & 3, rest
}

// powers gives the sum of c[i]·x^i.
func powers(x float64, c []float64) float64 {
	sum := 0.0
	for i := len(c) - 1; i >= 0; i-- {
		sum = product(sum, x) + c[i]
	}
	return sum
}

// sinSeries and cosSeries are what the series of sine and cosine have after their
// first term, enough of it for an eighth of a turn.
var (
	sinSeries = []float64{-1. / 6, 1. / 120, -1. / 5040, 1. / 362880, -1. / 39916800, 1. / 6227020800, -1. / 1307674368000, 1. / 355687428096000}
	cosSeries = []float64{-1. / 2, 1. / 24, -1. / 720, 1. / 40320, -1. / 3628800, 1. / 479001600, -1. / 87178291200, 1. / 20922789888000, -1. / 6402373705728000}
)

func smallSine(x float64) float64 {
	square := product(x, x)
	return x + product(product(x, square), powers(square, sinSeries))
}

func smallCosine(x float64) float64 {
	square := product(x, x)
	return 1 + product(square, powers(square, cosSeries))
}

// sine gives the sine of an angle of a few turns.
func sine(angle float64) float64 {
	switch quarter, rest := reduce(angle); quarter {
	case 0:
		return smallSine(rest)
	case 1:
		return smallCosine(rest)
	case 2:
		return -smallSine(rest)
	default:
		return -smallCosine(rest)
	}
}

func cosine(angle float64) float64 {
	switch quarter, rest := reduce(angle); quarter {
	case 0:
		return smallCosine(rest)
	case 1:
		return -smallSine(rest)
	case 2:
		return -smallCosine(rest)
	default:
		return smallSine(rest)
	}
}

// arcsineSeries is what the series of the arcsine has after its first term:
// each term is the one before with (2n-1)²/(2n(2n+1)) of it, enough for a half.
var arcsineSeries = func() (c [26]float64) {
	before := 1.0
	for i := range c {
		n := float64(2 * (i + 1))
		before = product(before, n-1) / n
		c[i] = before / (n + 1)
	}
	return c
}()

// arcsine gives the angle from 0 to π/2 that has a sine from 0 to 1.
func arcsine(x float64) float64 {
	if x > 0.5 {
		half := arcsine(math.Sqrt((1 - x) / 2))
		return halfPi1 - (2*half - halfPi2)
	}
	square := product(x, x)
	return x + product(product(x, square), powers(square, arcsineSeries[:]))
}
