package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// fanout is publishers who give messages to subscribers of one channel, each as
// many at a time as pipeline says, and the next when these are answered.
type fanout struct{ subscribers, publishers, pipeline int }

const (
	channel = "news"
	message = "a message of sixty-four bytes, about as long as many of them are"
)

// compareFanouts prints how many messages a second all subscribers together get.
func compareFanouts(rounds int, duration time.Duration) error {
	fmt.Printf("| subscribers | publishers | pipeline | parlor | redis | parlor is |\n|---:|---:|---:|---:|---:|---:|\n")
	for _, f := range []fanout{{1, 1, 1}, {1, 4, 16}, {50, 1, 1}, {50, 4, 1}, {50, 4, 16}, {500, 4, 1}, {500, 4, 16}} {
		var ours, theirs []float64
		for range rounds {
			for _, side := range []struct {
				port int
				into *[]float64
			}{{nodePort, &ours}, {redisPort, &theirs}} {
				perSecond, err := f.run(fmt.Sprintf("127.0.0.1:%d", side.port), duration)
				if err != nil {
					return fmt.Errorf("%+v: %w", f, err)
				}
				*side.into = append(*side.into, perSecond)
			}
		}
		sort.Float64s(ours)
		sort.Float64s(theirs)
		p, r := ours[rounds/2], theirs[rounds/2]
		fmt.Printf("| %d | %d | %d | %.0f | %.0f | %.2f × |\n", f.subscribers, f.publishers, f.pipeline, p, r, p/r)
	}
	return nil
}

// run gives how many messages came in a second. All that were published must.
func (f fanout) run(addr string, duration time.Duration) (perSecond float64, err error) {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	dial := func() (net.Conn, error) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			conns = append(conns, c)
		}
		return c, err
	}
	var heard, published atomic.Int64
	for range f.subscribers {
		c, err := dial()
		if err != nil {
			return 0, err
		}
		if _, err := c.Write(command("SUBSCRIBE", channel)); err != nil {
			return 0, err
		}
		b := make([]byte, 64<<10)
		if _, err := c.Read(b); err != nil { // the confirmation
			return 0, err
		}
		go func() {
			for n, err := c.Read(b); err == nil; n, err = c.Read(b) {
				heard.Add(int64(n))
			}
		}()
	}
	batch := []byte(strings.Repeat(string(command("PUBLISH", channel, message)), f.pipeline))
	var publishers sync.WaitGroup
	began := time.Now()
	for range f.publishers {
		c, err := dial()
		if err != nil {
			return 0, err
		}
		publishers.Go(func() {
			answers := bufio.NewReader(c)
			for time.Since(began) < duration {
				if _, err := c.Write(batch); err != nil {
					return
				}
				for range f.pipeline {
					if _, err := answers.ReadSlice('\n'); err != nil {
						return
					}
					published.Add(1)
				}
			}
		})
	}
	publishers.Wait()
	want := published.Load() * int64(f.subscribers) * int64(len(command("message", channel, message)))
	for patience := time.Now().Add(10 * time.Second); heard.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(patience) {
			return 0, errors.New("not all messages came")
		}
	}
	return float64(published.Load()) * float64(f.subscribers) / time.Since(began).Seconds(), nil
}

// command writes words as clients send them, and as messages come.
func command(words ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}
