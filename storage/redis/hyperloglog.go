package redis

import (
	"encoding/binary"
	"math"

	"github.com/parlorchat/parlor/storage/command"
)

func hyperloglogCommands() []entry {
	return []entry{
		{"PFADD", -2, writeFast, oneKey, "2.8.9", "key [element …]", "Adds elements to a HyperLogLog.", pfadd},
		{"PFCOUNT", -2, read, allKeys, "2.8.9", "key …", "Estimates how many different elements HyperLogLogs have together.", pfcount},
		{"PFMERGE", -2, write, allKeys, "2.8.9", "destination [source …]", "Merges HyperLogLogs into one.", pfmerge},
	}
}

var (
	errNotHLL     = command.Errorf("WRONGTYPE", "Key is not a valid HyperLogLog string value.")
	errCorruptHLL = command.Errorf("INVALIDOBJ", "Corrupted HLL object detected")
)

// The string of a HyperLogLog is that of Redis: "HYLL", the encoding, 3 bytes
// of zeros, 8 bytes of a cached count whose highest bit says that it is stale,
// then the registers. They are dense, 6 bits each, or sparse, runs of equal
// ones: 00nnnnnn n+1 zeros, 01nnnnnn nnnnnnnn n+1 zeros, 1vvvvvnn n+1 times v+1.
const (
	hllRegisters = 1 << 14
	hllHeader    = 16
	hllDense     = 0
	hllSparse    = 1
	hllDenseSize = hllHeader + hllRegisters*6/8
	hllSparseMax = 3000 // bytes of a string that stays sparse
)

// hll is the string of a HyperLogLog.
type hll []byte

func newHLL() hll {
	h := make(hll, hllHeader, hllHeader+2)
	copy(h, "HYLL")
	h[4] = hllSparse
	return appendZeros(h, hllRegisters)
}

// readHLL gives the HyperLogLog at a key, nil if there is none.
func readHLL(c *command.Call, key []byte) (hll, error) {
	v, had, err := c.Get(key)
	if err != nil || !had {
		return nil, err
	}
	if len(v) < hllHeader || string(v[:4]) != "HYLL" || v[4] > hllSparse || (v[4] == hllDense && len(v) != hllDenseSize) {
		return nil, errNotHLL
	}
	return hll(v), nil
}

// appendZeros appends a run of zeros.
func appendZeros(b []byte, n int) []byte {
	if n > 64 {
		return append(b, 0x40|byte((n-1)>>8), byte(n-1))
	}
	return append(b, byte(n-1))
}

func sparseValue(value, n int) byte { return 0x80 | byte(value-1)<<2 | byte(n-1) }

// hllRun is a run of equal registers in the sparse form.
type hllRun struct{ value, n, size int }

// runAt reads the run at an offset; ok is false if it is cut off.
func (h hll) runAt(at int) (r hllRun, ok bool) {
	switch b := h[at]; {
	case b&0x80 != 0:
		return hllRun{int(b>>2&31) + 1, int(b&3) + 1, 1}, true
	case b&0x40 == 0:
		return hllRun{0, int(b&63) + 1, 1}, true
	case at+1 >= len(h):
		return hllRun{}, false
	default:
		return hllRun{0, int(b&63)<<8 + int(h[at+1]) + 1, 2}, true
	}
}

// hllHash is MurmurHash64A with the seed of Redis.
func hllHash(b []byte) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := uint64(0xadc83b19) ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k = (k ^ k>>r) * m
		h = (h ^ k) * m
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * m
	}
	h = (h ^ h>>r) * m
	return h ^ h>>r
}

// hllPlace says which register an element belongs to, and what it asks for.
func hllPlace(element []byte) (register, value int) {
	h := hllHash(element)
	register = int(h & (hllRegisters - 1))
	h = h>>14 | 1<<50
	for value = 1; h&1 == 0; h >>= 1 {
		value++
	}
	return register, value
}

// denseAt gives a register of the dense form.
func (h hll) denseAt(i int) int {
	bit := i * 6
	at, shift := hllHeader+bit/8, bit%8
	v := int(h[at]) >> shift
	if shift > 2 {
		v |= int(h[at+1]) << (8 - shift)
	}
	return v & 63
}

// put raises a register of the dense form.
func (h hll) put(i, value int) {
	bit := i * 6
	at, shift := hllHeader+bit/8, bit%8
	h[at] = h[at]&^byte(63<<shift) | byte(value<<shift)
	if shift > 2 {
		h[at+1] = h[at+1]&^byte(63>>(8-shift)) | byte(value>>(8-shift))
	}
}

// raise makes a register at least value. It gives the string, which may be
// another one, and whether it changed.
func (h hll) raise(register, value int) (_ hll, changed bool, err error) {
	if h[4] == hllDense {
		if h.denseAt(register) >= value {
			return h, false, nil
		}
		h.put(register, value)
		return h, true, nil
	}
	return h.raiseSparse(register, value)
}

func (h hll) raiseSparse(register, value int) (_ hll, changed bool, err error) {
	if value > 32 {
		return h.promote(register, value)
	}
	first, at, prev := 0, hllHeader, hllHeader
	var r hllRun
	for {
		if at >= len(h) {
			return h, false, errCorruptHLL
		}
		var ok bool
		if r, ok = h.runAt(at); !ok {
			return h, false, errCorruptHLL
		}
		if register < first+r.n {
			break
		}
		prev, at, first = at, at+r.size, first+r.n
	}
	if r.value >= value {
		return h, false, nil
	}
	if r.n == 1 && r.size == 1 {
		h[at] = sparseValue(value, 1)
	} else {
		run := func(b []byte, n int) []byte {
			switch {
			case n == 0:
				return b
			case r.value == 0:
				return appendZeros(b, n)
			}
			return append(b, sparseValue(r.value, n))
		}
		split := run(make([]byte, 0, 5), register-first)
		split = append(split, sparseValue(value, 1))
		split = run(split, first+r.n-1-register)
		if more := len(split) - r.size; more > 0 && len(h)+more > hllSparseMax {
			return h.promote(register, value)
		}
		h = append(append(append(make(hll, 0, len(h)+4), h[:at]...), split...), h[at+r.size:]...)
	}
	return h.mergeRuns(prev), true, nil
}

// mergeRuns joins equal neighbours near a place, as far as Redis looks.
func (h hll) mergeRuns(at int) hll {
	for steps := 0; at < len(h) && steps < 5; steps++ {
		r, ok := h.runAt(at)
		if !ok {
			break
		}
		if r.value > 0 && at+1 < len(h) {
			if next, ok := h.runAt(at + 1); ok && next.value == r.value && r.n+next.n <= 4 {
				h[at+1] = sparseValue(r.value, r.n+next.n)
				h = append(h[:at], h[at+1:]...)
				continue
			}
		}
		at += r.size
	}
	return h
}

// promote makes the string dense and raises a register.
func (h hll) promote(register, value int) (_ hll, changed bool, err error) {
	d, err := h.dense()
	if err != nil {
		return h, false, err
	}
	return d.raise(register, value)
}

// dense gives the dense form.
func (h hll) dense() (hll, error) {
	if h[4] == hllDense {
		return h, nil
	}
	var all [hllRegisters]byte
	if err := h.raiseTo(&all); err != nil {
		return nil, err
	}
	d := make(hll, hllDenseSize)
	copy(d, h[:hllHeader])
	d[4] = hllDense
	for i, v := range all {
		d.put(i, int(v))
	}
	return d, nil
}

// raiseTo makes registers at least the ones of the string.
func (h hll) raiseTo(all *[hllRegisters]byte) error {
	if h[4] == hllDense {
		for i := range all {
			all[i] = max(all[i], byte(h.denseAt(i)))
		}
		return nil
	}
	i := 0
	for at := hllHeader; at < len(h); {
		r, ok := h.runAt(at)
		if !ok || i+r.n > hllRegisters {
			return errCorruptHLL
		}
		for range r.n {
			all[i] = max(all[i], byte(r.value))
			i++
		}
		at += r.size
	}
	if i != hllRegisters {
		return errCorruptHLL
	}
	return nil
}

// estimate is the estimator of Otmar Ertl that Redis has.
func estimate(all *[hllRegisters]byte) int64 {
	const m, q = float64(hllRegisters), 50
	var histogram [64]float64
	for _, v := range all {
		histogram[v&63]++
	}
	z := m * hllTau((m-histogram[q+1])/m)
	for j := q; j >= 1; j-- {
		z = (z + histogram[j]) * 0.5
	}
	z += float64(m * hllSigma(histogram[0]/m))
	return int64(math.Round(0.721347520444481703680 * m * m / z))
}

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := math.NaN(); z != before; y += y {
		before = z
		x *= x
		z += float64(x * y)
	}
	return z
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := math.NaN(); z != before; {
		before = z
		x = math.Sqrt(x)
		y *= 0.5
		d := 1 - x
		z -= float64(float64(d*d) * y)
	}
	return z / 3
}

// stale marks the cached count, which reads do not renew here.
func (h hll) stale() hll {
	h[15] |= 0x80
	return h
}

func pfadd(c *command.Call, args [][]byte) (command.Reply, error) {
	old, err := readHLL(c, args[1])
	if err != nil {
		return command.Reply{}, err
	}
	changed := old == nil
	h := newHLL()
	if old != nil {
		h = append(make(hll, 0, len(old)+4), old...)
	}
	for _, e := range args[2:] {
		register, value := hllPlace(e)
		var more bool
		if h, more, err = h.raise(register, value); err != nil {
			return command.Reply{}, err
		}
		changed = changed || more
	}
	if !changed {
		return command.Int(0), nil
	}
	return command.Int(1), c.SetKeepTTL(args[1], h.stale())
}

func pfcount(c *command.Call, args [][]byte) (command.Reply, error) {
	var all [hllRegisters]byte
	for _, key := range args[1:] {
		h, err := readHLL(c, key)
		if err != nil {
			return command.Reply{}, err
		}
		if h == nil {
			continue
		}
		if len(args) == 2 && h[15]&0x80 == 0 {
			return command.Int(int64(binary.LittleEndian.Uint64(h[8:]))), nil
		}
		if err := h.raiseTo(&all); err != nil {
			return command.Reply{}, err
		}
	}
	return command.Int(estimate(&all)), nil
}

func pfmerge(c *command.Call, args [][]byte) (command.Reply, error) {
	var all [hllRegisters]byte
	out, dense := newHLL(), false
	for i, key := range args[1:] {
		h, err := readHLL(c, key)
		if err != nil {
			return command.Reply{}, err
		}
		if h == nil {
			continue
		}
		if err := h.raiseTo(&all); err != nil {
			return command.Reply{}, err
		}
		dense = dense || h[4] == hllDense
		if i == 0 {
			out = append(make(hll, 0, len(h)+4), h...)
		}
	}
	var err error
	if dense {
		if out, err = out.dense(); err != nil {
			return command.Reply{}, err
		}
	}
	for i, v := range all {
		if v == 0 {
			continue
		}
		if out, _, err = out.raise(i, int(v)); err != nil {
			return command.Reply{}, err
		}
	}
	return command.OK, c.SetKeepTTL(args[1], out.stale())
}
