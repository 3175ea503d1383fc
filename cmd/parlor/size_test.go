package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestSizesAreRead(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "100": 100, "32MB": 32 << 20, "1gb": 1 << 30, " 5 KiB ": 5 << 10, "7b": 7, "2G": 2 << 30,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1.5GB", "x", "1TBB", "9999999999999GB"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
	if got, err := parseRate("0"); err != nil || got != -1 {
		t.Errorf("no limit is %d, %v", got, err)
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KB", 5 << 30: "5.0 GB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
}

func TestTheLastLinesOfALogAreKept(t *testing.T) {
	r := &logRing{}
	for i := range 20_000 {
		if _, err := fmt.Fprintf(r, "line %d %s\n", i, strings.Repeat("x", 50)); err != nil {
			t.Fatal(err)
		}
	}
	kept := r.Bytes()
	if len(kept) > ringBytes || len(kept) < ringBytes/2 {
		t.Errorf("%d bytes are kept", len(kept))
	}
	if !bytes.HasPrefix(kept, []byte("line ")) || !bytes.Contains(kept, []byte("line 19999 ")) || bytes.Contains(kept, []byte("line 0 ")) {
		t.Errorf("kept are %.40q…", kept)
	}
	if _, err := r.Write(bytes.Repeat([]byte("y"), 10*ringLine)); err != nil {
		t.Fatal(err)
	}
	if last := r.Bytes(); !bytes.HasSuffix(last, []byte("y\n")) || bytes.Count(last, []byte("y")) != ringLine-1 {
		t.Error("a long line was not cut")
	}
}

func TestSettingsHoldNoSecrets(t *testing.T) {
	cmd := &cobra.Command{}
	f := cmd.Flags()
	f.String("password", "hunter2", "")
	f.String("admin-token", "abc", "")
	f.String("resp-password-file", "/etc/parlor/password", "")
	f.String("public-url", "https://user:hunter2@chat.example.com", "")
	f.String("name", "one", "")
	got := settingsOf(cmd)
	if got["name"] != "one" || got["resp-password-file"] != "/etc/parlor/password" {
		t.Errorf("settings: %v", got)
	}
	for name, value := range got {
		if strings.Contains(value, "hunter2") || value == "abc" {
			t.Errorf("%s tells %q", name, value)
		}
	}
}
