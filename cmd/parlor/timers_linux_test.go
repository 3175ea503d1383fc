package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every thread of a node has the slack, the scheduler's own, too, and the
// process is the one that was started.
func TestTheTimersOfANodeMayBeLate(t *testing.T) {
	g := startGroup(t, 1, nil)
	p, _ := g.members[0].process()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.Pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("the node has the threads %q: %v", threads, err)
	}
	looked := 0
	for _, thread := range threads {
		slack, err := os.ReadFile(filepath.Join("/proc", filepath.Base(thread), "timerslack_ns"))
		switch {
		case errors.Is(err, fs.ErrPermission):
			t.Skip("only the superuser may look at the timers of another process")
		case errors.Is(err, fs.ErrNotExist):
			continue // the thread has ended, or the kernel does not show it
		case err != nil:
			t.Fatal(err)
		}
		looked++
		if got, want := strings.TrimSpace(string(slack)), fmt.Sprint(timerSlack.Nanoseconds()); got != want {
			t.Errorf("a timer of thread %s may be %s ns late, want %s", filepath.Base(thread), got, want)
		}
	}
	if looked == 0 {
		t.Skip("the kernel does not show how late timers may be")
	}
}
