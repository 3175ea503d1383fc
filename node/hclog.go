package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLog lets raft write to our log. While a member is down raft complains
// of it many times a second: the same complaint is written once in a while.
type raftLog struct {
	log    *slog.Logger
	name   string
	args   []any
	recent *recentTexts
}

func newRaftLog(l *slog.Logger, name string) hclog.Logger {
	return &raftLog{log: l.With("part", name), name: name, recent: newRecentTexts()}
}

const (
	complaintEvery = 10 * time.Second
	complaintsKept = 256
)

// recentTexts remembers what was written of late.
type recentTexts struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func newRecentTexts() *recentTexts { return &recentTexts{seen: map[string]time.Time{}} }

func (r *recentTexts) isNew(text string) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[text]; ok && now.Sub(at) < complaintEvery {
		return false
	}
	if len(r.seen) >= complaintsKept {
		clear(r.seen)
	}
	r.seen[text] = now
	return true
}

// complain writes a warning unless it was written a moment ago about the same
// member.
func (r *raftLog) complain(level hclog.Level, msg string, args []any) {
	text := msg
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == "peer" || args[i] == "target" {
			text += fmt.Sprint(args[i+1])
		}
	}
	if r.recent.isNew(text) {
		r.Log(level, msg, args...)
	}
}

func slogLevel(l hclog.Level) slog.Level {
	switch l {
	case hclog.Error:
		return slog.LevelError
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Info:
		return slog.LevelInfo
	case hclog.Trace:
		return slog.LevelDebug - 4
	}
	return slog.LevelDebug
}

// Log implements hclog.Logger.
func (r *raftLog) Log(level hclog.Level, msg string, args ...any) {
	ctx := context.Background()
	if !r.log.Enabled(ctx, slogLevel(level)) {
		return
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	r.log.Log(ctx, slogLevel(level), msg, args...)
}

// What raft informs about at every election and snapshot is for debugging
// here. Its errors are mostly members that do not answer.
func (r *raftLog) Trace(msg string, args ...any) { r.Log(hclog.Trace, msg, args...) }
func (r *raftLog) Debug(msg string, args ...any) { r.Log(hclog.Debug, msg, args...) }
func (r *raftLog) Info(msg string, args ...any)  { r.Log(hclog.Debug, msg, args...) }
func (r *raftLog) Warn(msg string, args ...any)  { r.complain(hclog.Warn, msg, args) }
func (r *raftLog) Error(msg string, args ...any) {
	if isOwnEnd(args) {
		r.Log(hclog.Debug, msg, args...)
		return
	}
	r.complain(hclog.Warn, msg, args)
}

// isOwnEnd says whether a complaint is about a connection that this member has
// closed itself: that is what stopping is.
func isOwnEnd(args []any) bool {
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, net.ErrClosed) {
			return true
		}
	}
	return false
}

func (r *raftLog) enabled(l slog.Level) bool { return r.log.Enabled(context.Background(), l) }

func (r *raftLog) IsTrace() bool { return r.enabled(slog.LevelDebug - 4) }
func (r *raftLog) IsDebug() bool { return r.enabled(slog.LevelDebug) }
func (r *raftLog) IsInfo() bool  { return r.enabled(slog.LevelDebug) }
func (r *raftLog) IsWarn() bool  { return r.enabled(slog.LevelWarn) }
func (r *raftLog) IsError() bool { return r.enabled(slog.LevelError) }

func (r *raftLog) ImpliedArgs() []any { return r.args }
func (r *raftLog) Name() string       { return r.name }

func (r *raftLog) With(args ...any) hclog.Logger {
	return &raftLog{log: r.log.With(args...), name: r.name, args: append(slices.Clip(r.args), args...), recent: r.recent}
}

func (r *raftLog) Named(name string) hclog.Logger {
	return &raftLog{log: r.log.With("sub", name), name: r.name + "." + name, args: r.args, recent: r.recent}
}
func (r *raftLog) ResetNamed(name string) hclog.Logger { return r.Named(name) }
func (r *raftLog) SetLevel(hclog.Level)                {}
func (r *raftLog) GetLevel() hclog.Level               { return hclog.Debug }

func (r *raftLog) StandardLogger(o *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(r.StandardWriter(o), "", 0)
}

func (r *raftLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return lineWriter{r} }

type lineWriter struct{ r *raftLog }

func (w lineWriter) Write(p []byte) (int, error) {
	w.r.Info(string(p))
	return len(p), nil
}
