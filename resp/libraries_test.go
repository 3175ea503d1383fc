package resp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestClientLibraries plays the scripts of testdata/clients through programs
// that people use, each on a group of three nodes and on a real redis-server,
// and compares what the program makes of the replies. On the group connection
// a is to one node, b to another, c to the third.
//
// A line "a> SET k v" is a command on connection a; quotes are those of
// redis-cli. Other verbs stand in small letters:
//
//	a> connect user=bob password=x db=2   opens the connection anew
//	a> start BLPOP q 10                   does not wait for the reply
//	a> wait                               waits for it
//	a> pipeline                           the commands of the indented lines at once
//	a> multi k                            the same as a transaction, watching k; those that begin
//	                                      with "!" come from somebody else after the watch
//	a> subscribe news, a> psubscribe n*   listens
//	a> messages 2                         waits for so many
//	a> scan SCAN MATCH k:* COUNT 10       goes through all, as the program does it
//	a> gone k                             waits until a key is no more
//	a> fill 300 k:                        sets k:0 to k:299
//
// What follows " #: " says how outcomes are compared: "unordered"; "varies" if
// only that it is no error; "parlor …" is played on the group alone, and its
// outcome must contain the text. "{run}" is the name of the run.
func TestClientLibraries(t *testing.T) {
	files, err := filepath.Glob("../testdata/clients/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	cli := func(t *testing.T) string { return installed(t, "redis-cli") }
	players := []libraryPlayer{
		{"go-redis-2", func(t *testing.T, steps []libStep) []outcome { return playGoRedis(t, 2, steps) }},
		{"go-redis-3", func(t *testing.T, steps []libStep) []outcome { return playGoRedis(t, 3, steps) }},
		{"redis-cli-2", func(t *testing.T, steps []libStep) []outcome { return playCLI(t, cli(t), 2, steps) }},
		{"redis-cli-3", func(t *testing.T, steps []libStep) []outcome { return playCLI(t, cli(t), 3, steps) }},
		{"redis-py", playPython},
		{"ioredis", playNode},
	}
	var group []string
	for _, n := range startNodes(t, 3) {
		group = append(group, startServer(t, Config{}, n).Addr().String())
	}
	for _, p := range players {
		t.Run(p.name, func(t *testing.T) {
			redis := []string{startRedisTCP(t)}
			var steps []libStep
			for _, file := range files {
				steps = append(steps, readLibScript(t, file, p.name)...)
			}
			compareOutcomes(t, steps, p.play(t, place(steps, redis, false)), p.play(t, place(steps, group, true)))
		})
	}
}

// libraryPlayer is a program that plays scripts.
type libraryPlayer struct {
	name string
	play func(t *testing.T, steps []libStep) []outcome
}

// libStep is one step of a script, as the players get it.
type libStep struct {
	On        string            `json:"on"`   // connection
	Addr      string            `json:"addr"` // that it is to
	Verb      string            `json:"verb"`
	Args      []string          `json:"args"`
	Watch     []string          `json:"watch,omitempty"`
	Meanwhile [][]string        `json:"meanwhile,omitempty"` // by somebody else, after the watch
	Commands  [][]string        `json:"commands,omitempty"`
	Options   map[string]string `json:"options,omitempty"`

	where   string // file and line
	compare string
}

// outcome is what a program made of a step: a value or an error.
type outcome struct {
	V any    `json:"v"`
	E string `json:"e"`
}

var libVerbs = []string{"connect", "start", "wait", "pipeline", "multi", "subscribe", "psubscribe", "messages", "scan", "gone", "fill"}

func readLibScript(t *testing.T, file, run string) []libStep {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []libStep
	for i, line := range strings.Split(string(text), "\n") {
		line, compare, _ := strings.Cut(strings.ReplaceAll(line, "{run}", run), " #: ")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "    "); ok {
			last := &steps[len(steps)-1]
			if other, ok := strings.CutPrefix(rest, "!"); ok {
				last.Meanwhile = append(last.Meanwhile, quoted(t, other))
			} else {
				last.Commands = append(last.Commands, quoted(t, rest))
			}
			continue
		}
		if len(line) < 4 || line[1] != '>' {
			t.Fatalf("%s:%d: no step: %s", file, i+1, line)
		}
		s := newLibStep(t, line[:1], quoted(t, line[2:]))
		s.where, s.compare = fmt.Sprint(filepath.Base(file), ":", i+1), strings.TrimSpace(compare)
		steps = append(steps, s)
	}
	return append(openAnew(steps), steps...)
}

// openAnew gives each connection of a script its beginning.
func openAnew(steps []libStep) []libStep {
	var out []libStep
	seen := map[string]bool{}
	for _, s := range steps {
		if !seen[s.On] {
			seen[s.On] = true
			out = append(out, libStep{On: s.On, Verb: "connect", Args: []string{}})
		}
	}
	return out
}

func newLibStep(t *testing.T, on string, words []string) libStep {
	s := libStep{On: on, Verb: "do", Args: words}
	if slices.Contains(libVerbs, words[0]) {
		s.Verb, s.Args = words[0], words[1:]
	}
	switch s.Verb {
	case "connect":
		s.Options = map[string]string{}
		for _, o := range s.Args {
			name, value, _ := strings.Cut(o, "=")
			s.Options[name] = value
		}
	case "multi":
		s.Watch = s.Args
	case "fill":
		s.Verb = "pipeline"
		n, err := strconv.Atoi(s.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			s.Commands = append(s.Commands, []string{"SET", s.Args[1] + strconv.Itoa(i), "v"})
		}
	}
	return s
}

// place gives each connection a node.
func place(steps []libStep, addrs []string, parlor bool) []libStep {
	var out []libStep
	for _, s := range steps {
		if !parlor && strings.HasPrefix(s.compare, "parlor") {
			continue
		}
		s.Addr = addrs[int(s.On[0]-'a')%len(addrs)]
		out = append(out, s)
	}
	return out
}

func compareOutcomes(t *testing.T, steps []libStep, redis, parlor []outcome) {
	t.Helper()
	at := 0 // in redis
	for i, s := range steps {
		if i >= len(parlor) {
			t.Fatalf("%d of %d steps were played", len(parlor), len(steps))
		}
		got := parlor[i]
		text, alone := strings.CutPrefix(s.compare, "parlor")
		if alone {
			if shown := fmt.Sprint(got.V, got.E); !strings.Contains(shown, strings.TrimSpace(text)) {
				t.Errorf("%s: %s %v gives %s, which does not contain %q", s.where, s.Verb, s.Args, shown, text)
			}
			continue
		}
		if at >= len(redis) {
			t.Fatalf("on redis-server %d steps were played", len(redis))
		}
		want := redis[at]
		at++
		if s.compare == "unordered" {
			got.V, want.V = unordered(got.V), unordered(want.V)
		}
		if s.compare == "varies" {
			got.V, want.V = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s %s %q\n  here %#v\n redis %#v", s.where, s.On, s.Verb, s.Args, got, want)
		}
	}
}

func unordered(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

// installed finds a program, or skips the test.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed")
	}
	return path
}

// startRedisTCP runs a real server on a free port.
func startRedisTCP(t *testing.T) string {
	t.Helper()
	path := installed(t, "redis-server")
	for range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
		ln.Close()
		ctx, stop := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--hz", "100")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		t.Cleanup(func() { stop(); <-ended })
		up := false
		waitFor(t, "redis-server to listen or to end", func() bool {
			conn, err := net.Dial("tcp", addr)
			if up = err == nil; up {
				conn.Close()
			}
			select {
			case <-ended: // somebody else took the port
				return true
			default:
				return up
			}
		})
		if up {
			return addr
		}
	}
	t.Fatal("redis-server found no port")
	return ""
}

// playPython plays steps through redis-py, of the system's Python if that has
// it.
func playPython(t *testing.T, steps []libStep) []outcome {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import redis").Run() == nil {
			return playProgram(t, steps, python, "../testdata/clients/redis-py/player.py")
		}
	}
	t.Skip("redis-py is not installed: python3-redis")
	return nil
}

// playNode plays steps through ioredis.
func playNode(t *testing.T, steps []libStep) []outcome {
	node := installed(t, "node")
	const dir = "../testdata/clients/ioredis"
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "ioredis")); err != nil {
		t.Skip("ioredis is not installed: npm ci --prefix testdata/clients/ioredis")
	}
	return playProgram(t, steps, node, filepath.Join(dir, "player.mjs"))
}

// playProgram hands the steps to a player and reads its outcomes.
func playProgram(t *testing.T, steps []libStep, name string, args ...string) []outcome {
	t.Helper()
	input, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, complaints.String())
	}
	var outcomes []outcome
	for dec := json.NewDecoder(&out); dec.More(); {
		var o outcome
		if err := dec.Decode(&o); err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}
