package resp

import (
	"bytes"
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
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

// procField gives a figure in kB of a file of /proc, in bytes; 0 where there is
// none.
func procField(file, name string) uint64 {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for _, line := range bytes.Split(content, []byte("\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+":")); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// machineMemory is how much memory the machine has; 0: not known.
func machineMemory() uint64 { return procField("/proc/meminfo", "MemTotal") }

// residentMemory is how much memory of the machine the process holds; 0: not
// known.
func residentMemory() uint64 { return procField("/proc/self/status", "VmRSS") }
