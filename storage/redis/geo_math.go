package redis

import (
	"math"
	"slices"
)

// A place is kept as the score of its member: 26 bits of longitude and of
// latitude in turn, so that near places mostly have near scores.

const (
	geoBits     = 26
	maxLat      = 85.05112878 // of the Mercator projection
	earthRadius = 6372797.560856
)

// geoPoint is a place in degrees.
type geoPoint struct{ lon, lat float64 }

// spread puts the 32 bits of x at the even places.
func spread(x uint64) uint64 {
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// gather is the inverse of spread.
func gather(x uint64) uint64 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return (x | x>>16) & 0x00000000ffffffff
}

// grid gives where a coordinate lies from -limit to limit, in 2^26 parts.
func grid(v, limit float64) uint64 {
	part := (v + limit) / (2 * limit)
	return uint64(part * (1 << geoBits))
}

// cell gives the place's score.
func (p geoPoint) cell() uint64 {
	return spread(grid(p.lat, maxLat)) | spread(grid(p.lon, 180))<<1
}

// placeOf gives the middle of a score's cell.
func placeOf(score float64) geoPoint {
	if !(score >= 0 && score < 1<<63) {
		score = 0 // no place: any will do, but the same on every node
	}
	bits := uint64(score)
	middle := func(i uint64, limit float64) float64 {
		low := float64(float64(i)/(1<<geoBits)*(2*limit)) - limit
		high := float64(float64(i+1)/(1<<geoBits)*(2*limit)) - limit
		return min(max((low+high)/2, -limit), limit)
	}
	return geoPoint{middle(gather(bits>>1), 180), middle(gather(bits), maxLat)}
}

// text gives the geohash of 11 characters that other programs know.
func (p geoPoint) text() string {
	const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"
	bits := spread(grid(p.lat, 90)) | spread(grid(p.lon, 180))<<1
	out := make([]byte, 11)
	for i := range 10 {
		out[i] = alphabet[bits>>(52-5*(i+1))&31]
	}
	out[10] = '0' // there are 52 bits, not 55
	return string(out)
}

func radians(degrees float64) float64 { return product(degrees, math.Pi/180) }
func degrees(radians float64) float64 { return product(radians, 180/math.Pi) }

func latDistance(a, b float64) float64 {
	return product(earthRadius, math.Abs(radians(b)-radians(a)))
}

// distance gives the meters between two places, on a sphere.
func (p geoPoint) distance(q geoPoint) float64 {
	v := sine((radians(q.lon) - radians(p.lon)) / 2)
	if v == 0 {
		return latDistance(p.lat, q.lat)
	}
	lat1, lat2 := radians(p.lat), radians(q.lat)
	u := sine((lat2 - lat1) / 2)
	a := product(u, u) + product(product(cosine(lat1), cosine(lat2)), product(v, v))
	return product(2*earthRadius, arcsine(min(math.Sqrt(a), 1)))
}

// geoArea is a circle, or a box if width is not negative, in meters.
type geoArea struct {
	center                geoPoint
	radius, width, height float64
}

// holds says whether a place is inside, and how far from the center.
func (a *geoArea) holds(p geoPoint) (distance float64, ok bool) {
	if a.width < 0 {
		distance = a.center.distance(p)
		return distance, distance <= a.radius
	}
	if latDistance(p.lat, a.center.lat) > a.height/2 || p.distance(geoPoint{a.center.lon, p.lat}) > a.width/2 {
		return 0, false
	}
	return a.center.distance(p), true
}

// bounds gives half the height and half the width of the area in degrees.
func (a *geoArea) bounds() (lat, lon float64) {
	if a.width < 0 {
		angle := a.radius / earthRadius
		lat = degrees(angle)
		if math.Abs(a.center.lat)+lat >= 90 {
			return lat, 180 // a pole is inside
		}
		return lat, degrees(arcsine(min(1, sine(angle)/cosine(radians(a.center.lat)))))
	}
	lat = degrees(a.height / 2 / earthRadius)
	farthest := min(math.Abs(a.center.lat)+lat, maxLat)
	angle := a.width / 4 / earthRadius
	if angle >= math.Pi/2 {
		return lat, 180
	}
	return lat, degrees(2 * arcsine(min(1, sine(angle)/cosine(radians(farthest)))))
}

// scoreRange is a range of scores, from from to below to.
type scoreRange struct{ from, to uint64 }

// ranges gives few ranges of scores that hold all places of the area: those of
// cells so large that it touches no more than four each way.
func (a *geoArea) ranges() []scoreRange {
	lat, lon := a.bounds()
	lat, lon = product(lat, 1.001)+1e-6, product(lon, 1.001)+1e-6 // more than any rounding
	all := []scoreRange{{0, 1 << (2 * geoBits)}}
	if lon >= 90 || lat >= maxLat {
		return all
	}
	low, high := grid(max(a.center.lat-lat, -maxLat), maxLat), min(grid(min(a.center.lat+lat, maxLat), maxLat), 1<<geoBits-1)
	const width = 1 << geoBits
	west := uint64(int64(math.Floor(product((a.center.lon-lon+180)/360, width)))+width) % width
	span := uint64(math.Ceil(product(lon/180, width))) + 1
	shift := 0
	for (span>>shift) > 2 || (high-low)>>shift > 2 {
		shift++
	}
	var out []scoreRange
	for y := low >> shift; y <= high>>shift; y++ {
		first := west >> shift
		for n := range (west+span)>>shift - first + 1 {
			x := (first + n) % (width >> shift)
			from := (spread(y) | spread(x)<<1) << (2 * shift)
			out = append(out, scoreRange{from, from + 1<<(2*shift)})
		}
	}
	slices.SortFunc(out, func(a, b scoreRange) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	joined := out[:1]
	for _, r := range out[1:] {
		if last := &joined[len(joined)-1]; r.from <= last.to {
			last.to = max(last.to, r.to)
		} else {
			joined = append(joined, r)
		}
	}
	return joined
}
