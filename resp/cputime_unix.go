//go:build unix

package resp

import "syscall"

// processorTimes is how many seconds the processor has worked for this process:
// in its own code, and in the system's on its behalf. 0 if it is not known.
func processorTimes() (user, system float64) {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0, 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Nano()) / 1e9 }
	return seconds(r.Utime), seconds(r.Stime)
}
