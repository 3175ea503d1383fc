package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

// op is one call of a client: what was asked, of which node, when it was
// asked and answered (nanoseconds since the battery began), and what is known
// of it. The check of a workload needs nothing else.
type op struct {
	Client int     `json:"client"`
	Node   string  `json:"node"`
	Key    string  `json:"key"`
	Do     string  `json:"do"`            // what of the workload
	In     string  `json:"in,omitempty"`  // value that was sent
	Out    []any   `json:"out,omitempty"` // what came back, if done
	How    outcome `json:"how"`
	Err    string  `json:"err,omitempty"`
	Call   int64   `json:"call"`
	Return int64   `json:"return"`
}

func (o op) String() string {
	b, _ := json.Marshal(o)
	return string(b)
}

// history collects the ops of one workload in one round.
type history struct {
	mu  sync.Mutex
	ops []op
}

var began = time.Now()

func now() int64 { return int64(time.Since(began)) }

func (h *history) add(o op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
}

// byKey gives the ops of each key, in the order in which they were called.
func byKey(ops []op) map[string][]op {
	keys := map[string][]op{}
	for _, o := range ops {
		keys[o.Key] = append(keys[o.Key], o)
	}
	for _, of := range keys {
		sort.Slice(of, func(i, j int) bool { return of[i].Call < of[j].Call })
	}
	return keys
}

// write stores the history as JSON lines.
func (h *history) write(dir, name string) error {
	f, err := os.Create(filepath.Join(dir, name+".jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	for _, o := range h.ops {
		if err := enc.Encode(o); err != nil {
			return err
		}
	}
	return w.Flush()
}

// violation says what is wrong, with the ops that show it.
func violation(ops []op, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	for i, o := range ops {
		if i == 12 {
			return fmt.Errorf("%w\n    … and %d more", err, len(ops)-i)
		}
		err = fmt.Errorf("%w\n    %s", err, o)
	}
	return err
}
