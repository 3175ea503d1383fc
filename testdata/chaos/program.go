package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// clockEnv names the file in which a node's clock is set: nanoseconds by which
// it is off.
const clockEnv = "PARLOR_CHAOS_CLOCK"

// patch is a place in the sources that is built otherwise.
type patch struct{ why, file, was, is string }

// patches are what is built otherwise than from the sources as they are. The
// sources themselves know nothing of it. A patch that does not fit any more is
// an error.
var patches = []patch{
	{"the wall clock can be set, the monotonic clock not: as with a machine's", "$GOROOT/src/time/time.go",
		"func Now() Time {\n\tsec, nsec, mono := runtimeNow()",
		"func Now() Time {\n\tsec, nsec, mono := steppedNow()"},
}

// shortLog are patches by which there happens in a minute what else takes days.
var shortLog = []patch{
	{"so little log is kept that whoever was away for seconds is sent a snapshot", "node/config.go",
		"orDefault(&l.LogBytes, ", "orDefault(&l.LogEntries, 100); orDefault(&l.LogBytes, "},
	{"checkpoints come all the time", "node/config.go",
		"orDefault(&l.CheckpointEvery, ", "orDefault(&l.CheckpointEvery, 2*time.Second); orDefault(&l.CheckpointEvery, "},
	{"the log begins new files all the time", "node/room.go",
		"if l.segmentBytes == 0 {", "if l.segmentBytes = 1 << 20; false {"},
	{"states are compared from beginning to end, again and again", "node/config.go",
		"orDefault(&t.Scrub, ", "orDefault(&t.Scrub, 2*time.Second); orDefault(&t.Scrub, "},
}

// additions are files that the built program has besides.
var additions = map[string]string{
	"$GOROOT/src/time/stepped.go": `package time

import "sync/atomic"

var step atomic.Int64

// SetStep says by how many nanoseconds the wall clock is off.
func SetStep(ns int64) { step.Store(ns) }

func steppedNow() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = runtimeNow()
	by := step.Load()
	sec, nsec = sec+by/1e9, nsec+int32(by%1e9)
	if nsec < 0 {
		sec, nsec = sec-1, nsec+1e9
	} else if nsec >= 1e9 {
		sec, nsec = sec+1, nsec-1e9
	}
	return sec, nsec, mono
}
`,
	"cmd/parlor/chaosclock.go": `package main

import (
	"os"
	"strconv"
	"time"
)

var _ = followClock(os.Getenv("` + clockEnv + `"))

func followClock(file string) bool {
	if file == "" {
		return false
	}
	look := func() {
		if content, err := os.ReadFile(file); err == nil {
			if ns, err := strconv.ParseInt(string(content), 10, 64); err == nil {
				time.SetStep(ns)
			}
		}
	}
	look()
	go func() {
		for {
			time.Sleep(20 * time.Millisecond)
			look()
		}
	}()
	return true
}
`,
}

// recipe says how the program is to be built.
type recipe struct {
	source, dir string // folders: of the sources, for what is made
	short       bool   // with shortLog
	broken      string // on purpose, see breaks
}

// build makes the program as dir/parlor.
func (r recipe) build() (string, error) {
	source, dir := r.source, r.dir
	list, err := r.overlay()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "parlor")
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", list, "-o", binary, "./cmd/parlor")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return binary, nil
}

// overlay writes the patched files and the additions to dir, with the list of
// them that go build reads.
func (r recipe) overlay() (list string, err error) {
	source, dir, broken := r.source, r.dir, r.broken
	if source, err = filepath.Abs(source); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("asking for GOROOT: %w", err)
	}
	roots := strings.Fields(string(out))
	if len(roots) != 2 {
		return "", fmt.Errorf("go env says %q", out)
	}
	path := func(file string) string {
		if rest, ok := strings.CutPrefix(file, "$GOROOT"); ok {
			return roots[0] + rest
		}
		if rest, ok := strings.CutPrefix(file, "$GOMODCACHE"); ok {
			return roots[1] + rest
		}
		return filepath.Join(source, file)
	}
	contents := map[string]string{}
	for file, content := range additions {
		contents[path(file)] = content
	}
	all := slices.Clone(patches)
	if r.short {
		all = append(all, shortLog...)
	}
	if broken != "" && broken != lyingDisks {
		b, ok := breaks[broken]
		if !ok {
			return "", fmt.Errorf("nothing is called %q that could be broken: %v", broken, slices.Sorted(maps.Keys(breaks)))
		}
		all = append(all, b)
	}
	for _, p := range all {
		file := path(p.file)
		if contents[file] == "" {
			was, err := os.ReadFile(file)
			if err != nil {
				return "", err
			}
			contents[file] = string(was)
		}
		if strings.Count(contents[file], p.was) != 1 {
			return "", fmt.Errorf("%s does not have %q once: the battery's patch (%s) has to follow it", file, p.was, p.why)
		}
		contents[file] = strings.Replace(contents[file], p.was, p.is, 1)
	}
	replaced := map[string]map[string]string{"Replace": {}}
	for file, content := range contents {
		at := filepath.Join(dir, fmt.Sprintf("patched-%d-%s", len(replaced["Replace"]), filepath.Base(file)))
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			return "", err
		}
		replaced["Replace"][file] = at
	}
	content, err := json.Marshal(replaced)
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, content, 0o644)
}
