package resp

import (
	"fmt"
	"math/bits"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// latencySamples is how many samples are kept of an event.
const latencySamples = 160

// latency keeps when commands took longer than latency-monitor-threshold: the
// worst of each second, by event. The events are two of Redis, "command" and
// "fast-command", and "commit": writes on their way to the disks of the group.
type latency struct {
	mu     sync.Mutex
	events map[string]*latencyEvent
}

type latencyEvent struct {
	samples []latencySample // oldest first
	worst   int64           // ms, ever
}

type latencySample struct{ at, ms int64 } // s since 1970

// add notes that something took long.
func (l *latency) add(event string, now time.Time, took time.Duration) {
	at, ms := now.Unix(), took.Milliseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.events == nil {
		l.events = map[string]*latencyEvent{}
	}
	e := l.events[event]
	if e == nil {
		e = &latencyEvent{}
		l.events[event] = e
	}
	e.worst = max(e.worst, ms)
	if n := len(e.samples); n > 0 && e.samples[n-1].at == at {
		e.samples[n-1].ms = max(e.samples[n-1].ms, ms)
		return
	}
	if len(e.samples) >= latencySamples {
		e.samples = append(e.samples[:0], e.samples[1:]...)
	}
	e.samples = append(e.samples, latencySample{at, ms})
}

func (l *latency) names() []string {
	names := make([]string, 0, len(l.events))
	for n := range l.events {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// latest gives event, time, last and worst of each event.
func (l *latency) latest() command.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []command.Reply{}
	for _, name := range l.names() {
		e := l.events[name]
		last := e.samples[len(e.samples)-1]
		out = append(out, command.Array(command.BulkString(name), command.Int(last.at), command.Int(last.ms), command.Int(e.worst)))
	}
	return command.Array(out...)
}

func (l *latency) history(event string) command.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []command.Reply{}
	if e := l.events[event]; e != nil {
		for _, s := range e.samples {
			out = append(out, command.Array(command.Int(s.at), command.Int(s.ms)))
		}
	}
	return command.Array(out...)
}

// reset forgets the events, all if none is named, and tells how many there
// were.
func (l *latency) reset(events []string) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(events) == 0 {
		events = l.names()
	}
	for _, name := range events {
		if l.events[name] != nil {
			delete(l.events, name)
			n++
		}
	}
	return n
}

// graph draws the samples of an event, oldest left; false: there are none.
func (l *latency) graph(event string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.events[event]
	if e == nil {
		return "", false
	}
	const rows = 4
	low, high := e.samples[0].ms, e.samples[0].ms
	for _, s := range e.samples {
		low, high = min(low, s.ms), max(high, s.ms)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", event, high, low, e.worst, strings.Repeat("-", 80))
	first := max(len(e.samples)-80, 0)
	for row := int64(rows); row >= 1; row-- {
		for _, s := range e.samples[first:] {
			level := int64(1)
			if high > low {
				level = 1 + (s.ms-low)*(rows-1)/(high-low)
			}
			switch {
			case level == row:
				b.WriteByte('#')
			case level > row:
				b.WriteByte('|')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), true
}

// doctor says what was slow of late, and where to look.
func (l *latency) doctor(threshold int64) string {
	if threshold == 0 {
		return "Latency is not being watched. CONFIG SET latency-monitor-threshold <milliseconds> on this node notes the commands that take as long.\n"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return fmt.Sprintf("No command took %d ms or longer since the threshold was set.\n", threshold)
	}
	var b strings.Builder
	for _, name := range l.names() {
		e := l.events[name]
		var sum int64
		for _, s := range e.samples {
			sum += s.ms
		}
		last := e.samples[len(e.samples)-1]
		fmt.Fprintf(&b, "%s: %d slow seconds, %d ms on average, %d ms at worst, the last %s ago.\n",
			name, len(e.samples), sum/int64(len(e.samples)), e.worst, time.Since(time.Unix(last.at, 0)).Round(time.Second))
	}
	b.WriteString("Of command and fast-command SLOWLOG GET names the commands. A commit takes as long as the disks of most nodes need, with what else they have to do: " +
		"parlor status and /metrics tell of the group.\n")
	return b.String()
}

// histogram counts calls by how long they took, in µs and rounded up: one bucket
// each up to 16, then eight for each doubling.
type histogram [16 + 27*8]atomic.Int64

// bucketOf is for a time above 0.
func bucketOf(micros uint64) int {
	if micros <= 16 {
		return int(micros) - 1
	}
	doubling := bits.Len64(micros-1) - 5
	return min(16+8*doubling+int((micros-1)>>(doubling+1))-8, len(histogram{})-1)
}

// boundOf is the longest time in a bucket, in µs.
func boundOf(bucket int) int64 {
	if bucket < 16 {
		return int64(bucket) + 1
	}
	doubling, step := (bucket-16)/8, int64((bucket-16)%8)
	return (9 + step) << (doubling + 1)
}

func (h *histogram) note(took time.Duration) {
	h[bucketOf(uint64(max((took+time.Microsecond-1).Microseconds(), 1)))].Add(1)
}

func (h *histogram) reset() {
	for i := range h {
		h[i].Store(0)
	}
}

// total is how many calls were counted.
func (h *histogram) total() (n int64) {
	for i := range h {
		n += h[i].Load()
	}
	return n
}

// cumulated gives the powers of two in µs at which the count grows, and the
// count up to there.
func (h *histogram) cumulated() command.Reply {
	var out []command.Reply
	sum := int64(0)
	for i := 0; i < len(h); {
		until, n := int64(1)<<bits.Len64(uint64(boundOf(i)-1)), int64(0)
		for ; i < len(h) && boundOf(i) <= until; i++ {
			n += h[i].Load()
		}
		if sum += n; n > 0 {
			out = append(out, command.Int(until), command.Int(sum))
		}
	}
	return command.Map(out...)
}

// percentile gives the longest time in µs of the bucket in which it falls.
func (h *histogram) percentile(p float64) int64 {
	want := int64(float64(h.total())*p/100 + 0.5)
	sum := int64(0)
	for i := range h {
		if sum += h[i].Load(); sum >= max(want, 1) {
			return boundOf(i)
		}
	}
	return 0
}

func latencyCommands() []local {
	sub := func(name string, arity int, since, summary string, args ...command.Arg) command.Spec {
		return command.Spec{Name: name, Arity: arity, Flags: command.Admin, Group: "server", Since: since, Summary: summary, Args: args,
			Categories: []string{"admin", "slow", "dangerous"}}
	}
	event := command.Arg{Name: "event", Type: "string"}
	return []local{
		{spec: sub("LATEST", 2, "2.8.13", "Lists the latest spikes of this node by event."),
			run: func(s *session, _ [][]byte) (command.Reply, error) { return s.server.latency.latest(), nil }},
		{spec: sub("HISTORY", 3, "2.8.13", "Lists the spikes of an event: the worst of each second that had one.", event),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				return s.server.latency.history(string(args[2])), nil
			}},
		{spec: sub("GRAPH", 3, "2.8.13", "Draws the spikes of an event.", event), run: latencyGraph},
		{spec: sub("RESET", -2, "2.8.13", "Forgets spikes; answers of how many events.", command.Arg{Name: "event", Type: "string", Optional: true, Multiple: true}),
			run: func(s *session, args [][]byte) (command.Reply, error) {
				var names []string
				for _, a := range args[2:] {
					names = append(names, string(a))
				}
				return command.Int(s.server.latency.reset(names)), nil
			}},
		{spec: sub("DOCTOR", 2, "2.8.13", "Says what was slow and where to look."),
			run: func(s *session, _ [][]byte) (command.Reply, error) {
				return command.Verbatim(s.server.latency.doctor(s.server.live.latencyFrom.Load())), nil
			}},
		{spec: sub("HISTOGRAM", -2, "7.0.0", "Answers how long commands took.", command.Arg{Name: "command", Type: "string", Optional: true, Multiple: true}),
			run: latencyHistogram},
	}
}

func latencyGraph(s *session, args [][]byte) (command.Reply, error) {
	text, ok := s.server.latency.graph(string(args[2]))
	if !ok {
		return command.Reply{}, command.Errorf("ERR", "No samples available for event '"+string(cut(args[2], maxQuoted))+"'")
	}
	return command.Verbatim(text), nil
}

// latencyHistogram describes the named commands, a container by its
// subcommands; without names, all that were called.
func latencyHistogram(s *session, args [][]byte) (command.Reply, error) {
	var out []command.Reply
	show := func(e *entry) {
		h := &e.calls.times
		if n := h.total(); n > 0 {
			out = append(out, command.BulkString(e.lower), command.Map(
				command.BulkString("calls"), command.Int(n), command.BulkString("histogram_usec"), h.cumulated()))
		}
	}
	if len(args) == 2 {
		s.server.catalog.each(show)
		return command.Map(out...), nil
	}
	seen := map[*entry]bool{}
	for _, name := range args[2:] {
		e := s.server.catalog.named(name)
		if e == nil || seen[e] {
			continue
		}
		seen[e] = true
		show(e)
		for _, sub := range e.sortedSubs() {
			show(sub)
		}
	}
	return command.Map(out...), nil
}

// noteTime notes how long a command took.
func (s *Server) noteTime(e *entry, took time.Duration) {
	if s.live.latencyCounts.Load() {
		e.calls.times.note(took)
	}
	event := "command"
	if e.spec.Is(command.Fast) {
		event = "fast-command"
	}
	s.noteSpike(event, took)
}

// noteCommit notes how long writes that were sent together took until this node
// had carried them out. Where a disk or a line is slow, it is this that grows.
func (s *Server) noteCommit(took time.Duration) { s.noteSpike("commit", took) }

func (s *Server) noteSpike(event string, took time.Duration) {
	from := s.live.latencyFrom.Load()
	if from == 0 || took < time.Duration(min(from, int64(time.Hour/time.Millisecond)))*time.Millisecond {
		return
	}
	s.latency.add(event, time.Now(), took)
}
