package resp

import "syscall"

// processorTimes is how many seconds the processor has worked for this process:
// in its own code, and in the system's on its behalf. 0 if it is not known.
func processorTimes() (user, system float64) {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, 0
	}
	var created, exited, kernel, own syscall.Filetime
	if syscall.GetProcessTimes(self, &created, &exited, &kernel, &own) != nil {
		return 0, 0
	}
	seconds := func(t syscall.Filetime) float64 {
		return float64(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) / 1e7
	}
	return seconds(own), seconds(kernel)
}
