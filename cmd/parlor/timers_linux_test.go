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

// The scheduler's thread may be late, those that work may not, and the process
// is the one that was started.
func TestTheTimersOfANode(t *testing.T) {
	g := startGroup(t, 1, nil)
	p, _ := g.members[0].process()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.Pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("the node has the threads %q: %v", threads, err)
	}
	found := map[string]int{} // threads by slack
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
		found[strings.TrimSpace(string(slack))]++
	}
	if len(found) == 0 {
		t.Skip("the kernel does not show how late timers may be")
	}
	late, quick := found[fmt.Sprint(timerSlack.Nanoseconds())], found[fmt.Sprint(workSlack.Nanoseconds())]
	if late == 0 || quick < spareThreads || len(found) > 2 {
		t.Errorf("threads by nanoseconds that their timers may be late: %v; want some %v and at least %d %v", found, timerSlack, spareThreads, workSlack)
	}
}
