package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// transcript tells what happened in a test as a page for people. It is written
// only where PARLOR_TRANSCRIPT names a file.
type transcript struct {
	t    *testing.T
	path string
	b    strings.Builder
}

func newTranscript(t *testing.T) *transcript {
	s := &transcript{t: t, path: os.Getenv("PARLOR_TRANSCRIPT")}
	s.sayf(`# The first chat

Three nodes, each a process of its own, on one machine; a visitor and an agent on different nodes; 500 messages each
way while the leader is killed twice. This page is written by the test that does it: %s.
`, "`make transcript`")
	return s
}

func (s *transcript) sayf(format string, a ...any) { fmt.Fprintf(&s.b, format+"\n", a...) }

func (s *transcript) members(g *localGroup) {
	for _, m := range g.members {
		s.sayf("    %s   http %s   resp %s   cluster %s", m.name, m.http, m.resp, m.cluster)
	}
	s.sayf("")
}

// http tells of one call.
func (s *transcript) http(what, call string, body, answer any) {
	s.sayf("%s:\n\n    %s %s\n%s\n", what, call, compact(body), indent(pretty(answer)))
}

// redis shows what redis-cli says on each of the nodes; where it is not
// installed, nothing.
func (s *transcript) redis(g *localGroup, what string, args ...string) {
	if s.path == "" {
		return
	}
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		return
	}
	m := g.members[1]
	out, err := exec.Command(cli, append([]string{"-p", port(m.resp)}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Errorf("redis-cli %v: %v", args, err)
	}
	if what != "" {
		s.sayf("%s, on node 2:\n", what)
	}
	s.sayf("    $ redis-cli -p %s %s\n%s\n", port(m.resp), strings.Join(args, " "), indent(strings.TrimSpace(string(out))))
}

func (s *transcript) write() {
	if s.path == "" || s.t.Failed() {
		return
	}
	if err := os.WriteFile(s.path, []byte(strings.TrimRight(s.b.String(), "\n")+"\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }
