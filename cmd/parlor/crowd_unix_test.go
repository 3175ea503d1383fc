//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestACrowdDoesNotBringANodeDown: a node may have 200 files and connections open,
// and thousands of clients come. Those who are there go on working, those for whom
// there is no room hear so, the other nodes reach this one, and when the crowd
// has gone all is as before.
func TestACrowdDoesNotBringANodeDown(t *testing.T) {
	g := layOutGroup(t, 3, demoSite())
	crowded := g.members[0]
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	crowded.program = filepath.Join(g.dir, "with-few-files")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n 200\nexec '%s' \"$@\"\n", exe)
	if err := os.WriteFile(crowded.program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := g.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	process, _ := crowded.process()
	before := redis.NewClient(&redis.Options{Addr: crowded.resp, MaxRetries: -1, PoolSize: 1})
	defer func() { _ = before.Close() }()
	if err := before.Set(t.Context(), "before", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}

	web := strings.TrimPrefix(crowded.http, "http://")
	var crowd []net.Conn
	refused := map[string]string{}
	for _, addr := range []string{crowded.resp, web, crowded.cluster} {
		for range 300 {
			conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			crowd = append(crowd, conn)
		}
	}
	// Whom the door tells why is a matter of how many it is telling just now.
	for addr, request := range map[string]string{
		crowded.resp: "PING\r\n", web: "GET /health HTTP/1.1\r\nHost: parlor\r\n\r\n",
	} {
		for deadline := time.Now().Add(time.Minute); refused[addr] == "" && time.Now().Before(deadline); {
			refused[addr] = refusalAt(t, addr, request)
		}
	}
	if got := refused[crowded.resp]; got != "-ERR max number of clients reached\r\n" {
		t.Errorf("a client of the Redis protocol is told %q", got)
	}
	answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(refused[web])), nil)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("a browser is told %+v, %v", answer, err)
	} else if body, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(body), `"code":"unavailable"`) {
		t.Errorf("a browser is told %s, %v", body, err)
	}

	if err := before.Set(t.Context(), "meanwhile", "1", 0).Err(); err != nil {
		t.Errorf("who was there before cannot write: %v", err)
	}
	waitSame(t, g.members[1], "meanwhile", "1")
	if _, err := crowded.parlor(t.Context(), "status", "--data-dir", crowded.dataDir); err != nil {
		t.Errorf("the operator cannot ask the node: %v", err)
	}

	for _, conn := range crowd {
		_ = conn.Close()
	}
	eventually(t, "who comes when the crowd has gone can write", func() bool {
		after := redis.NewClient(&redis.Options{Addr: crowded.resp, MaxRetries: -1})
		defer func() { _ = after.Close() }()
		return after.Set(t.Context(), "after", "1", 0).Err() == nil
	})
	if now, _ := crowded.process(); now == nil || now.Pid != process.Pid {
		t.Error("the node has ended meanwhile")
	}
}

// refusalAt gives what a client is told who comes now and asks for something; "":
// he was let in, or nobody had time to tell him.
func refusalAt(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, request)
	said, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(said)
}
