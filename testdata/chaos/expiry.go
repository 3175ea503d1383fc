package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mortals are keys and fields of hashes that live for a time. None is dead
// before its time or alive long after it, and none comes back: what was dead on
// one node is not alive on another.
type mortals struct {
	prefix string

	mu     sync.Mutex
	recent []string // names with what they live, which is part of the name
}

func (m *mortals) name() string { return "expiry" }

// lives are the times that keys get. Some outlive the round: no clock that is
// set may take them.
var lives = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 4 * time.Second, 10 * time.Second, 30 * time.Minute}

const (
	// early and late are how far a life may be off: clocks run apart by half
	// in a thousand, and between two leaders nobody's clock counts.
	early = 100 * time.Millisecond
	late  = 2 * time.Second
)

func (m *mortals) step(w *worker) {
	if w.rng.IntN(4) == 0 {
		life := lives[w.rng.IntN(len(lives))]
		key := fmt.Sprintf("%s:%s:%d", m.prefix, w.unique(), life.Milliseconds())
		ms := strconv.FormatInt(life.Milliseconds(), 10)
		cmd := []string{"SET", key, "v", "PX", ms}
		if w.rng.IntN(3) == 0 {
			key += ":field"
			cmd = []string{"HSETEX", key, "PX", ms, "FIELDS", "1", "f", "v"}
		}
		w.call(op{Key: key, Do: "set"}, cmd)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.recent = append(m.recent, key); len(m.recent) > 40 {
			m.recent = m.recent[1:]
		}
		return
	}
	m.mu.Lock()
	if len(m.recent) == 0 {
		m.mu.Unlock()
		return
	}
	key := m.recent[w.rng.IntN(len(m.recent))]
	m.mu.Unlock()
	w.call(op{Key: key, Do: "get"}, readMortal(key))
}

func readMortal(key string) []string {
	if strings.HasSuffix(key, ":field") {
		return []string{"HGET", key, "f"}
	}
	return []string{"GET", key}
}

func lifeOf(key string) time.Duration {
	parts := strings.Split(strings.TrimSuffix(key, ":field"), ":")
	ms, _ := strconv.Atoi(parts[len(parts)-1])
	return time.Duration(ms) * time.Millisecond
}

// settle reads each key on every node.
func (m *mortals) settle(w *worker) error {
	for key := range byKey(w.hist.ops) {
		for w.at = range w.nodes {
			if _, err := w.surely(op{Key: key, Do: "get"}, readMortal(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *mortals) check(ops []op) (string, error) {
	sets := 0
	for key, of := range byKey(ops) {
		if err := checkMortal(key, of); err != nil {
			return "", err
		}
		if of[0].Do == "set" && of[0].How == done {
			sets++
		}
	}
	return fmt.Sprintf("%d keys", sets), nil
}

// checkMortal judges one key: it is set once, first of all.
func checkMortal(key string, ops []op) error {
	set := ops[0]
	if set.Do != "set" {
		return violation(ops, "%s was read before it was set", key)
	}
	life := lifeOf(key)
	var dead op // the first that was answered and saw it dead, after it was there
	byReturn := slices.Clone(ops)
	slices.SortFunc(byReturn, func(a, b op) int { return int(a.Return - b.Return) })
	firstAlive := set.Return // who asked after that and found nothing found it dead
	if set.How != done {
		firstAlive = math.MaxInt64
	}
	for _, o := range byReturn {
		if o.Do != "get" || o.How != done {
			continue
		}
		alive := o.Out[0] != nil
		switch {
		case alive && set.How == refused:
			return violation([]op{set, o}, "%s was refused and is there", key)
		case alive && set.How == unknown:
			firstAlive = min(firstAlive, o.Return)
		case alive && o.Call > set.Return+int64(life+life/1000+late):
			return violation([]op{set, o}, "%s lives, %s after its time", key, time.Duration(o.Call-set.Return)-life)
		case !alive && set.How == done && o.Call > set.Return && o.Return < set.Call+int64(life-life/1000-early):
			return violation([]op{set, o}, "%s died %s before its time", key, life-time.Duration(o.Return-set.Call))
		}
		if !alive && o.Call > firstAlive {
			if dead.Key == "" {
				dead = o
			}
		} else if alive && dead.Key != "" && o.Call > dead.Return {
			return violation([]op{set, dead, o}, "%s was dead, and lives again", key)
		}
	}
	return nil
}
