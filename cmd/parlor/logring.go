package main

import (
	"bytes"
	"net/url"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// logRing keeps the last lines of a log in memory, for a debug bundle.
type logRing struct {
	mu    sync.Mutex
	bytes int
	lines [][]byte
}

const (
	ringBytes = 256 << 10
	ringLine  = 8 << 10 // of a longer line, only the beginning is kept
)

// Write takes one or more whole lines, as slog writes them.
func (r *logRing) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := bytes.Clone(p[:min(len(p), ringLine)])
	if len(line) < len(p) {
		line[len(line)-1] = '\n'
	}
	r.lines = append(r.lines, line)
	r.bytes += len(line)
	for r.bytes > ringBytes {
		r.bytes -= len(r.lines[0])
		r.lines[0], r.lines = nil, r.lines[1:]
	}
	return len(p), nil
}

// Bytes gives what is kept.
func (r *logRing) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Join(r.lines, nil)
}

// settingsOf gives the flags of a command as they are set, from wherever, and
// without secrets: passwords are in files, of which only the paths are here.
func settingsOf(cmd *cobra.Command) map[string]string {
	out := map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := f.Value.String()
		if u, err := url.Parse(value); err == nil && u.User != nil {
			u.User = url.User("hidden")
			value = u.String()
		}
		name := strings.ToLower(f.Name)
		for _, secret := range []string{"password", "secret", "token"} {
			if strings.Contains(name, secret) && !strings.HasSuffix(name, "-file") && value != "" {
				value = "hidden"
			}
		}
		if f.Name != "help" {
			out[f.Name] = value
		}
	})
	return out
}
