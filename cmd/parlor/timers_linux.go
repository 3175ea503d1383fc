package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// While threads wait for the disk, Go's scheduler looks after them: a thread of
// its own sleeps for 20 µs, looks, and sleeps again. In a node that writes the
// log some hundred times a second that thread never rests, and waking it is a
// tenth of all work. The kernel lets a timer be late by what its thread allows,
// 50 µs unless it says otherwise; a node says otherwise. Nothing in it counts
// on less than a millisecond, writes by 200 clients at once become a tenth
// more, and those of one client alone are answered sooner, too.
const timerSlack = 500 * time.Microsecond

// relaxTimers lets the timers of this process be late by timerSlack. A thread
// has that from the one that made it, and the scheduler's was there before
// main: so the process begins anew, with the same id, and must not have opened
// or read anything yet: a password may come out of a pipe. Where the system wants
// none of it, all stays as it is. The unit of systemd has TimerSlackNSec instead.
func relaxTimers() {
	if os.Getenv(timersRelaxed) != "" {
		return
	}
	runtime.LockOSThread() // the slack is the thread's, and the one that calls Exec stays
	defer runtime.UnlockOSThread()
	if now, err := allowedSlack(); err != nil || now >= timerSlack {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, append(os.Environ(), timersRelaxed+"=1"))
}

func allowedSlack() (time.Duration, error) {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(ns), err
}
