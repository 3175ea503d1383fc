// Package memory tells how much memory there is and how much of it the process
// holds, in bytes; 0 where that is not known, which is so on systems other than
// Linux. It must not know what the memory is for.
package memory

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// Total is what the machine has.
func Total() uint64 { return field("/proc/meminfo", "MemTotal") }

// Available is what programs could still take without others being swapped out.
func Available() uint64 { return field("/proc/meminfo", "MemAvailable") }

// Resident is what this process holds.
func Resident() uint64 { return field("/proc/self/status", "VmRSS") }

// Limit is what this process may hold: all of the machine, or the limit of its
// control group or GOMEMLIMIT, if they are less.
func Limit() uint64 {
	limit := Total()
	for _, l := range []uint64{controlGroup(), ofRuntime()} {
		if l > 0 && (l < limit || limit == 0) {
			limit = l
		}
	}
	return limit
}

// ofRuntime is what Go's runtime was told to keep to; 0: nothing.
func ofRuntime() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return uint64(limit)
	}
	return 0
}

// controlGroup is the limit of the control group (version 2); 0 if there is
// none.
func controlGroup() uint64 {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(groups)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		if limit, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max")); err == nil {
			n, _ := strconv.ParseUint(strings.TrimSpace(string(limit)), 10, 64) // "max": none
			return n
		}
	}
	return 0
}

// field gives a figure in kB of a file of /proc, in bytes.
func field(file, name string) uint64 {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == name+":" {
			kb, _ := strconv.ParseUint(words[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
