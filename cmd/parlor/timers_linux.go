package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// While threads wait for the disk, Go's scheduler looks after them: a thread of
// its own sleeps for 20 µs, looks, and sleeps again. In a node that writes the
// log some hundred times a second that thread never rests, and waking it is a
// tenth of all work. The kernel lets a timer be late by what its thread allows,
// 50 µs unless it says otherwise; that thread says otherwise.
const timerSlack = 500 * time.Microsecond

// The threads that do the work sleep for 3 µs now and then, before they take
// over what another one may be about to begin: these must not be late at all.
// With timerSlack a lone client waited half as long again for its writes.
const workSlack = time.Microsecond

// setTimers lets the scheduler's timers be late by timerSlack, and those of
// other threads by workSlack, for as long as the process runs. A thread has that
// from the one that made it, and the scheduler's was there before main: so the
// process begins anew, with the same id, and must not have opened or read
// anything yet: a password may come out of a pipe. Where the system wants none
// of it, all stays as it is. The unit of systemd has TimerSlackNSec instead.
func setTimers() {
	if os.Getenv(timersRelaxed) == "" {
		relaxAndBeginAnew()
	}
	go func() {
		for {
			quicken(min(runtime.GOMAXPROCS(0), fewProcessors) + spareThreads)
			time.Sleep(quickenEvery)
		}
	}()
}

func relaxAndBeginAnew() {
	runtime.LockOSThread() // the slack is the thread's, and the one that calls Exec stays
	defer runtime.UnlockOSThread()
	if now, err := allowedSlack(); err != nil || now >= timerSlack {
		return
	}
	program, err := os.Executable()
	if err != nil {
		return
	}
	if err := allowSlack(timerSlack); err != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, append(os.Environ(), timersRelaxed+"=1"))
}

const (
	// spareThreads is how many threads a node has besides those that run Go's
	// code: they wait for the disk, or for work.
	spareThreads = 12
	// fewProcessors bounds how many threads are made for this on large machines:
	// a service may be allowed but so many.
	fewProcessors = 16
	// quickenEvery is how often threads are looked after that were busy the last
	// time, or were made by the scheduler's since.
	quickenEvery = 10 * time.Second
)

// quicken gives workSlack to so many threads: to all that wait for work, and to
// new ones if these are fewer, which the runtime keeps then.
func quicken(threads int) {
	_ = allowSlack(workSlack) // new ones have it from this one
	var there, done sync.WaitGroup
	there.Add(threads)
	for range threads {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			_ = allowSlack(workSlack)
			there.Done()
			there.Wait() // so that each has a thread of its own
		})
	}
	done.Wait()
}

func allowedSlack() (time.Duration, error) {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(ns), err
}

func allowSlack(d time.Duration) error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d), 0, 0, 0)
}
