package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a node costs when it holds much: see make large and make huge. The tests
// here judge nothing that depends on time; the figures go into
// docs/benchmarks.md.

// TestLargeFigures fills a node with PARLOR_LARGE_KEYS keys, of which every
// fifth is a hash like a visitor's, and compares what a SET and an HGETALL cost
// with what they cost when it had 10 000. Then it starts the node anew, and
// measures how long a flush of all keys keeps it busy.
func TestLargeFigures(t *testing.T) {
	keys, err := strconv.Atoi(os.Getenv("PARLOR_LARGE_KEYS"))
	if err != nil {
		t.Skip("set PARLOR_LARGE_KEYS to how many keys the figures are wanted for")
	}
	const few = 10_000
	if keys <= few {
		t.Fatalf("PARLOR_LARGE_KEYS must be more than %d", few)
	}
	g := startGroup(t, 1, nil)
	m := g.members[0]
	memory := watchMemory(t, m)

	fillKeys(t, m, 0, few)
	waitCheckpoint(t, m)
	before := costs(t, m, few, few)
	t.Logf("%s", memory)

	begun := time.Now()
	fillKeys(t, m, few, keys)
	t.Logf("%d keys written in %.0f s", keys-few, time.Since(begun).Seconds())
	waitCheckpoint(t, m)
	v := gauges(t.Context(), m)
	t.Logf("the table is %.0f MB, %.0f MB of it free", v["parlor_table_bytes"]/(1<<20), v["parlor_table_free_pages"]*4096/(1<<20))
	t.Logf("%s", memory)

	hot := costs(t, m, keys, few)
	all := costs(t, m, keys, keys)
	for i, c := range before {
		t.Logf("%-8s %-20s %v with %d keys; %v with %d, the same %d again and again: %.2f times; any of them: %v, %.2f times", c.what, c.how,
			c.each, few, hot[i].each, keys, few, float64(hot[i].each)/float64(c.each), all[i].each, float64(all[i].each)/float64(c.each))
	}

	for _, how := range []string{"killed", "killed in the middle of writes"} {
		if how != "killed" {
			fillKeys(t, m, 0, 200_000)
		}
		if err := m.kill(); err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		g.mustStart(t, m)
		t.Logf("ready %.1f s after the start of a node that was %s", time.Since(begun).Seconds(), how)
	}
	t.Logf("%s", memory)
	flushed(t, m)
	t.Logf("%s", memory)
}

// flushed removes all keys, and measures writes until nothing is left of them.
func flushed(t *testing.T, m *member) {
	t.Helper()
	waitCheckpoint(t, m)
	t.Logf("quiet:             %s", writesFor(t, m.resp, 15*time.Second, nil))
	c := dialRaw(t, m.resp)
	c.send("FLUSHALL")
	c.flush(t, 1)
	c.close()
	begun, over := time.Now(), make(chan struct{})
	var took atomic.Int64
	go func() {
		defer close(over)
		for t.Context().Err() == nil {
			v := gauges(t.Context(), m)
			if left, ok := v["parlor_garbage_left"]; ok && left == 0 && v["parlor_garbage_rows_total"] > 0 && v["parlor_checkpoint_running"] == 0 {
				took.Store(int64(time.Since(begun)))
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		for t.Context().Err() == nil && gauges(t.Context(), m)["parlor_table_compaction_running"] > 0 {
			time.Sleep(100 * time.Millisecond)
		}
	}()
	t.Logf("while it is taken: %s", writesFor(t, m.resp, 0, over))
	v := gauges(t.Context(), m)
	t.Logf("all that was flushed is removed after %.0f s, %.0f rows; the table is %.0f MB after %.0f s, %.0f compactions", time.Duration(took.Load()).Seconds(),
		v["parlor_garbage_rows_total"], v["parlor_table_bytes"]/(1<<20), time.Since(begun).Seconds(), v["parlor_table_compactions_total"])
}

// TestHugeFigures fills a node with PARLOR_HUGE gigabytes of values of 1 to 7 KB,
// half of them in order and the rest not, reads and writes them at random,
// starts it anew and has it compact its table. It looks at the memory that is
// the node's own all the time, which must stay below 1 GB.
func TestHugeFigures(t *testing.T) {
	gigabytes, err := strconv.ParseFloat(os.Getenv("PARLOR_HUGE"), 64)
	if err != nil {
		t.Skip("set PARLOR_HUGE to how many gigabytes the figures are wanted for")
	}
	t.Setenv("GOMEMLIMIT", "1GiB") // as on a small machine
	g := startGroup(t, 1, nil)
	m := g.members[0]
	memory := watchMemory(t, m)
	h := &huge{m: m, values: int(gigabytes * (1 << 30) / hugeValue)}
	defer h.progress(t, memory)()
	begun := time.Now()
	h.fill(t, 0, h.values/2, func(i int) int { return i })
	t.Logf("%.1f GB written in order in %.0f s; %d times told to wait", gigabytes/2, time.Since(begun).Seconds(), h.busy.Load())
	begun = time.Now()
	h.fill(t, h.values/2, h.values, func(i int) int { return h.values/2 + scattered(i-h.values/2, h.values-h.values/2) })
	t.Logf("%.1f GB written out of order in %.0f s; %d times told to wait", gigabytes/2, time.Since(begun).Seconds(), h.busy.Load())
	waitCheckpoint(t, m)
	h.tell(t, memory)

	h.use(t, 30*time.Second)
	t.Logf("%s", memory)
	if err := m.kill(); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	g.mustStart(t, m)
	t.Logf("ready %.1f s after the start of a node that was killed", time.Since(begun).Seconds())
	h.use(t, 15*time.Second)
	h.tell(t, memory)

	begun = time.Now()
	h.shrink(t)
	t.Logf("three values in five removed in %.0f s", time.Since(begun).Seconds())
	compacted := gauges(t.Context(), m)["parlor_table_compactions_total"]
	begun = time.Now()
	for gauges(t.Context(), m)["parlor_table_compactions_total"] == compacted {
		if time.Since(begun) > 30*time.Minute {
			t.Fatal("the table is not compacted")
		}
		h.use(t, 15*time.Second)
	}
	t.Logf("compacted after %.0f s", time.Since(begun).Seconds())
	h.tell(t, memory)
	h.check(t)
	if most := memory.most(); most > 1<<30 {
		t.Errorf("the node took %d MB of memory of its own, more than 1 GB", most>>20)
	}
}

// hugeValue is how many bytes a value of TestHugeFigures has on average.
const hugeValue = 4 << 10

func hugeSize(i int) int { return hugeValue/4 + i*7919%(3*hugeValue/2) }

type huge struct {
	m      *member
	values int
	busy   atomic.Int64 // times that a write was refused because checkpoints did not keep up, or timed out
}

func hugeKey(i int) string { return fmt.Sprintf("huge:%09d", i) }

// hugeText is the value at a key: nothing that compresses, and told apart.
func hugeText(i int) string {
	size := hugeSize(i)
	b := make([]byte, 0, size+24)
	r := rand.New(rand.NewPCG(uint64(i), 1))
	b = strconv.AppendInt(b, int64(i), 10)
	for len(b) < size {
		u := r.Uint64()
		b = append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24), byte(u>>32), byte(u>>40), byte(u>>48), byte(u>>56))
	}
	return string(b[:size])
}

// scattered gives each number below n once, in an order that jumps about.
func scattered(i, n int) int { return int(uint64(i) * 2_654_435_761 % uint64(n)) }

func (h *huge) fill(t *testing.T, from, to int, number func(i int) int) {
	t.Helper()
	var writers sync.WaitGroup
	const parallel, some = 8, 64
	for w := range parallel {
		writers.Go(func() {
			c := dialRaw(t, h.m.resp)
			defer c.close()
			for at := from + w*some; at < to; at += parallel * some {
				for left := numbers(at, min(at+some, to), number); len(left) > 0; {
					for _, i := range left {
						c.send("SET", hugeKey(i), hugeText(i))
					}
					replies := c.flush(t, len(left))
					again := left[:0]
					for j, r := range replies {
						if mayRetry(r) {
							h.busy.Add(1)
							again = append(again, left[j])
						} else if r[0] != '+' {
							t.Errorf("writing: %.100s", r)
							return
						}
					}
					left = again
				}
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// progress tells now and then how far it has come, until it is ended.
func (h *huge) progress(t *testing.T, memory *memoryWatch) (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-time.After(time.Minute):
				v := gauges(t.Context(), h.m)
				t.Logf("… the table is %.1f GB, rows in memory %.0f MB; %s", v["parlor_table_bytes"]/(1<<30), v["parlor_overlay_bytes"]/(1<<20), memory)
			case <-stop:
				return
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// mayRetry says whether a write that sets what it sets is to be sent again: it
// was refused, or its outcome is unknown.
func mayRetry(reply []byte) bool {
	return bytes.HasPrefix(reply, []byte("-BUSY")) || bytes.HasPrefix(reply, []byte("-UNKNOWN"))
}

func numbers(from, to int, number func(i int) int) []int {
	out := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, number(i))
	}
	return out
}

// use reads and writes values at random, four clients as fast as they get
// answers, one write in four.
func (h *huge) use(t *testing.T, d time.Duration) {
	t.Helper()
	var clients sync.WaitGroup
	var mu sync.Mutex
	took := map[string][]time.Duration{}
	deadline := time.Now().Add(d)
	for range 4 {
		clients.Go(func() {
			c := dialRaw(t, h.m.resp)
			defer c.close()
			mine := map[string][]time.Duration{}
			for time.Now().Before(deadline) {
				i, what := rand.IntN(h.values), "GET"
				begun := time.Now()
				if rand.IntN(4) == 0 {
					what = "SET"
					if !h.stays(i) {
						i -= i % 5
					}
					c.send("SET", hugeKey(i), hugeText(i))
				} else {
					c.send("GET", hugeKey(i))
				}
				r := c.flush(t, 1)[0]
				if r[0] == '-' {
					if !mayRetry(r) {
						t.Errorf("%s: %.100s", what, r)
						return
					}
					h.busy.Add(1)
					continue
				}
				mine[what] = append(mine[what], time.Since(begun))
			}
			mu.Lock()
			defer mu.Unlock()
			for what, all := range mine {
				took[what] = append(took[what], all...)
			}
		})
	}
	clients.Wait()
	doing := "alone"
	if v := gauges(t.Context(), h.m); v["parlor_table_compaction_running"] > 0 {
		doing = "beside a compaction"
	}
	for _, what := range []string{"GET", "SET"} {
		all := took[what]
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		at := func(share float64) time.Duration {
			return all[int(share*float64(len(all)-1))].Round(10 * time.Microsecond)
		}
		t.Logf("%s of a random value, %s: %.0f a second, p50 %v, p99 %v, longest %v", what, doing, float64(len(all))/d.Seconds(), at(0.5), at(0.99), at(1))
	}
}

// stays says which values shrink leaves.
func (h *huge) stays(i int) bool { return i%5 < 2 }

func (h *huge) shrink(t *testing.T) {
	t.Helper()
	c := dialRaw(t, h.m.resp)
	defer c.close()
	for i := 0; i < h.values; {
		n := 0
		for ; n < 500 && i < h.values; i++ {
			if !h.stays(i) {
				c.send("DEL", hugeKey(i))
				n++
			}
		}
		for _, r := range c.flush(t, n) {
			if r[0] == '-' {
				t.Fatalf("removing: %.100s", r)
			}
		}
	}
}

// check reads some of all values and compares them.
func (h *huge) check(t *testing.T) {
	t.Helper()
	c := dialRaw(t, h.m.resp)
	defer c.close()
	for range 20_000 {
		i := rand.IntN(h.values)
		c.send("GET", hugeKey(i))
		r := c.flush(t, 1)[0]
		want := fmt.Sprintf("$%d\r\n%s\r\n", hugeSize(i), hugeText(i))
		if !h.stays(i) {
			want = "$-1\r\n"
		}
		if string(r) != want {
			t.Fatalf("value %d is %.40q…, want %.40q…", i, r, want)
		}
	}
}

func (h *huge) tell(t *testing.T, memory *memoryWatch) {
	t.Helper()
	v := gauges(t.Context(), h.m)
	t.Logf("the table is %.1f GB, %.1f GB of it free; folder %.1f GB; %s", v["parlor_table_bytes"]/(1<<30), v["parlor_table_free_pages"]*4096/(1<<30),
		float64(folderSize(t, h.m.dataDir))/(1<<30), memory)
}

func folderSize(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a file of the log may have gone
		}
		if info, err := d.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// isHash says which keys of TestLargeFigures are hashes.
func isHash(i int) bool { return i%5 == 0 }

func largeKey(i int) string {
	if isHash(i) {
		return fmt.Sprintf("person:%09d", i)
	}
	return fmt.Sprintf("key:%09d", i)
}

var largeText = strings.Repeat("x", 100)

// visitorLike are fields like those of a visitor.
func visitorLike(i int) []string {
	n := strconv.Itoa(i)
	return []string{"name", "Visitor " + n, "email", "visitor" + n + "@example.com", "locale", "de-DE", "country", "DE", "referrer",
		"https://www.example.com/search?q=" + n, "page", "https://shop.example.com/products/" + n, "agent", "Mozilla/5.0 (X11; Linux x86_64)",
		"first_seen", "1795400000000", "last_seen", "1795400000000", "visits", "3", "pages", "17", "segment", "returning"}
}

// fillKeys writes the keys from from to to.
func fillKeys(t *testing.T, m *member, from, to int) {
	t.Helper()
	var writers sync.WaitGroup
	const parallel, some = 4, 500
	for w := range parallel {
		writers.Go(func() {
			c := dialRaw(t, m.resp)
			defer c.close()
			for at := from + w*some; at < to; at += parallel * some {
				for busy := true; busy; {
					end := min(at+some, to)
					for i := at; i < end; i++ {
						if isHash(i) {
							c.send(append([]string{"HSET", largeKey(i)}, visitorLike(i)...)...)
						} else {
							c.send("SET", largeKey(i), largeText)
						}
					}
					busy = false
					for _, r := range c.flush(t, end-at) {
						if mayRetry(r) {
							busy = true
						} else if r[0] == '-' {
							t.Errorf("filling: %.100s", r)
							return
						}
					}
				}
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// cost is what one command costs.
type cost struct {
	what, how string
	each      time.Duration
}

// costs measures SET and HGETALL of random keys, some of those there are.
func costs(t *testing.T, m *member, keys, some int) (out []cost) {
	t.Helper()
	stride := max(keys/some, 1)
	pick := func(hash bool) int {
		i := rand.IntN(some) * stride
		for isHash(i) != hash {
			i = (i + 1) % keys
		}
		return i
	}
	set := func(c *rawClient) { c.send("SET", largeKey(pick(false)), largeText) }
	hgetall := func(c *rawClient) { c.send("HGETALL", largeKey(pick(true))) }
	for _, op := range []struct {
		what string
		send func(c *rawClient)
	}{{"HGETALL", hgetall}, {"SET", set}} {
		for _, how := range []struct{ clients, pipe, n int }{{1, 1, 1000}, {8, 16, 20_000}} {
			run := func() (took, cpu time.Duration) {
				begun, used := time.Now(), processorTime(t, m)
				var clients sync.WaitGroup
				for range how.clients {
					clients.Go(func() {
						c := dialRaw(t, m.resp)
						defer c.close()
						for left := how.n / how.clients; left > 0; left -= how.pipe {
							for range how.pipe {
								op.send(c)
							}
							for _, r := range c.flush(t, how.pipe) {
								if r[0] == '-' {
									t.Errorf("%s: %.100s", op.what, r)
									return
								}
							}
						}
					})
				}
				clients.Wait()
				n := time.Duration(how.n)
				return time.Since(begun) / n, (processorTime(t, m) - used) / n
			}
			run() // warm
			waitCheckpoint(t, m)
			const runs = 5
			var tooks, cpus []time.Duration
			used := processorTime(t, m)
			for range runs {
				took, cpu := run()
				tooks, cpus = append(tooks, took), append(cpus, cpu)
			}
			slices.Sort(tooks)
			slices.Sort(cpus)
			name := fmt.Sprintf("%d × %d", how.clients, how.pipe)
			out = append(out, cost{op.what, name, tooks[runs/2]}, cost{op.what, name + ", processor", cpus[runs/2]})
			if op.what == "SET" && how.pipe > 1 {
				waitCheckpoint(t, m)
				whole := (processorTime(t, m) - used) / time.Duration(runs*how.n)
				out = append(out, cost{op.what, name + ", with checkpoint", whole})
			}
		}
	}
	return out
}

// waitCheckpoint waits until a checkpoint has been written that holds what was
// written so far, and nothing goes on.
func waitCheckpoint(t *testing.T, m *member) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for quiet := 0; quiet < 3; {
		v := gauges(t.Context(), m)
		if v["parlor_overlay_bytes"] < 1<<16 && v["parlor_checkpoint_running"] == 0 && v["parlor_table_compaction_running"] == 0 && len(v) > 0 {
			quiet++
		} else {
			quiet = 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("no checkpoint was written: %v", v)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// processorTime is what a node's process has used so far.
func processorTime(t *testing.T, m *member) time.Duration {
	t.Helper()
	p, _ := m.process()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	f := strings.Fields(string(rest))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of 100 a second
}

// memoryWatch looks at what a node's process takes of the machine's memory.
type memoryWatch struct {
	m              *member
	anon, maxAnon  atomic.Int64 // its own
	file, maxTotal atomic.Int64 // pages of the data file that it shares with the system
}

func watchMemory(t *testing.T, m *member) *memoryWatch {
	t.Helper()
	w := &memoryWatch{m: m}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(100 * time.Millisecond)
		defer every.Stop()
		for {
			w.look()
			select {
			case <-every.C:
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-ended })
	return w
}

func (w *memoryWatch) look() {
	p, _ := w.m.process()
	if p == nil {
		return
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "RssAnon":
			w.anon.Store(n << 10)
			w.maxAnon.Store(max(w.maxAnon.Load(), n<<10))
		case "RssFile":
			w.file.Store(n << 10)
		case "VmRSS":
			w.maxTotal.Store(max(w.maxTotal.Load(), n<<10))
		}
	}
}

func (w *memoryWatch) most() int64 { return w.maxAnon.Load() }

func (w *memoryWatch) String() string {
	w.look()
	return fmt.Sprintf("memory: its own %d MB, %d MB at most; with pages of its files %d MB at most",
		w.anon.Load()>>20, w.maxAnon.Load()>>20, w.maxTotal.Load()>>20)
}

// rawClient sends commands and takes replies as they are: a client that costs
// little beside the node on the same machine.
type rawClient struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
}

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return &rawClient{r: bufio.NewReader(strings.NewReader(""))}
	}
	return &rawClient{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
}

func (c *rawClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// send puts a command among those that flush sends.
func (c *rawClient) send(args ...string) {
	c.out = append(strconv.AppendInt(append(c.out, '*'), int64(len(args)), 10), "\r\n"...)
	for _, a := range args {
		c.out = append(strconv.AppendInt(append(c.out, '$'), int64(len(a)), 10), "\r\n"...)
		c.out = append(append(c.out, a...), "\r\n"...)
	}
}

// flush sends what there is and gives so many replies.
func (c *rawClient) flush(t *testing.T, n int) [][]byte {
	t.Helper()
	replies := make([][]byte, 0, n)
	var err error
	if c.conn != nil {
		_, err = c.conn.Write(c.out)
	}
	c.out = c.out[:0]
	for err == nil && len(replies) < n {
		var r []byte
		if r, err = c.reply(nil); err == nil {
			replies = append(replies, r)
		}
	}
	for len(replies) < n {
		replies = append(replies, fmt.Appendf(nil, "-LOST %v\r\n", err))
	}
	return replies
}

func (c *rawClient) reply(b []byte) ([]byte, error) {
	line, err := c.r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	b = append(b, line...)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	switch {
	case line[0] == '$' && n >= 0:
		at := len(b)
		b = append(b, make([]byte, n+2)...)
		_, err = io.ReadFull(c.r, b[at:])
	case line[0] == '*':
		for ; n > 0 && err == nil; n-- {
			b, err = c.reply(b)
		}
	}
	return b, err
}
