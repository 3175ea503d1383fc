package resp

import (
	"fmt"
	"runtime/metrics"
	"strings"
	"sync/atomic"
)

// processMemory are figures of Go's runtime, in bytes.
type processMemory struct {
	heap       int64 // objects, dead ones that are not swept yet among them
	inUse      int64 // spans that hold objects
	fromSystem int64 // mapped and not given back
}

func readMemory() processMemory {
	read := func(name string) int64 { return int64(metricUint(name)) }
	m := processMemory{heap: read("/memory/classes/heap/objects:bytes")}
	m.inUse = m.heap + read("/memory/classes/heap/unused:bytes")
	m.fromSystem = read("/memory/classes/total:bytes") - read("/memory/classes/heap/released:bytes")
	return m
}

// memoryFigures are what INFO and MEMORY STATS tell of memory, in bytes.
type memoryFigures struct {
	processMemory
	peak    int64
	atStart int64
	clients int64 // of all connections
	data    int64 // what is in use for neither of these two
}

func (s *Server) memoryFigures() memoryFigures {
	m := memoryFigures{processMemory: readMemory()}
	m.peak, m.atStart = s.memory.peak(m.heap), min(s.memory.atStart, m.heap)
	for _, c := range s.clients() {
		m.clients += c.memory()
	}
	m.data = max(m.heap-m.overhead(), 0)
	return m
}

func (m *memoryFigures) overhead() int64 { return m.atStart + m.clients }

// dataShare is how many percent of what has come since the start is data.
func (m *memoryFigures) dataShare() float64 { return percent(m.data, m.heap-m.atStart) }

func metricUint(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// memoryPeak remembers what was in use at the start and the most that anybody
// has seen since.
type memoryPeak struct {
	atStart int64
	most    atomic.Int64
}

// peak takes note of what is in use now and gives the most.
func (p *memoryPeak) peak(now int64) int64 {
	for {
		most := p.most.Load()
		if now <= most {
			return most
		}
		if p.most.CompareAndSwap(most, now) {
			return now
		}
	}
}

// allocatorReport lists all that Go's runtime tells of memory.
func allocatorReport() string {
	var b strings.Builder
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/classes/") {
			fmt.Fprintf(&b, "%s %d\n", d.Name, metricUint(d.Name))
		}
	}
	return b.String()
}
