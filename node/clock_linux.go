package node

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime is the time since the machine started, sleep included: Go's
// monotonic clock stands still while the machine sleeps.
func uptime(started time.Time) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Since(started)
	}
	return time.Duration(ts.Nano())
}
