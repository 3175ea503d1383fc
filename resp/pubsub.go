package resp

import (
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// audience says how subscribers chose what they hear.
type audience uint8

const (
	byChannel audience = iota // SUBSCRIBE
	byPattern                 // PSUBSCRIBE
	byShard                   // SSUBSCRIBE: the same, under names of their own
	audiences
)

const (
	// maxSubscriptions is how many one connection may have, of each kind.
	maxSubscriptions = 100_000
	// maxPattern is how long a pattern may be, in bytes: every message is
	// compared with all of them.
	maxPattern = 1024
)

var (
	errTooManySubs = command.Errorf("ERR", "too many subscriptions on this connection")
	errLongPattern = command.Errorf("ERR", "pattern is longer than 1024 bytes")
	errLongChannel = command.Errorf("ERR", "channel is longer than 8192 bytes")
)

// subscriber is a connection that hears messages.
type subscriber struct {
	out    *outbox
	proto  *atomic.Int32
	counts [audiences]atomic.Int32 // for CLIENT LIST
	names  [audiences]map[string]struct{}

	overSince atomic.Int64 // ms since 1970 since when too much waits; 0: it does not
}

// total is how many subscriptions there are of all kinds.
func (c *subscriber) total() int {
	n := 0
	for i := range c.counts {
		n += int(c.counts[i].Load())
	}
	return n
}

// shown is the number that a confirmation tells: channels and patterns
// together, shard channels by themselves.
func (c *subscriber) shown(kind audience) int64 {
	if kind == byShard {
		return int64(c.counts[byShard].Load())
	}
	return int64(c.counts[byChannel].Load()) + int64(c.counts[byPattern].Load())
}

// pubsub knows who hears what on this node. Messages are delivered under the
// reading side of mu, and confirmations go out under its writing side: after
// a confirmation of UNSUBSCRIBE no message comes, before one of SUBSCRIBE
// neither.
type pubsub struct {
	live    *settings
	dropped *atomic.Int64

	mu     sync.RWMutex
	byName [audiences]map[string]map[*subscriber]struct{}
}

func newPubsub(live *settings, dropped *atomic.Int64) *pubsub {
	p := &pubsub{live: live, dropped: dropped}
	for i := range p.byName {
		p.byName[i] = map[string]map[*subscriber]struct{}{}
	}
	return p
}

// fewHearers is how many an event loop tells of a message by the way. They only
// hold it: see hearers.
const fewHearers = 4096

// fewSteps is how much it compares the channel with patterns: bytes of one times
// bytes of the others, which is what patterns made for that take.
const fewSteps = 64 << 10

// few says whether a message would go to few at most, and need not wait just
// now.
func (p *pubsub) few(kind audience, channel []byte) bool {
	if !p.mu.TryRLock() {
		return false
	}
	defer p.mu.RUnlock()
	hearers := len(p.byName[kind][string(channel)])
	if kind == byChannel {
		steps := 0
		for pattern, who := range p.byName[byPattern] {
			hearers += len(who)
			if steps += len(pattern) * len(channel); steps > fewSteps {
				return false
			}
		}
	}
	return hearers <= fewHearers
}

// free says whether who subscribes need not wait just now.
func (p *pubsub) free() bool {
	if !p.mu.TryLock() {
		return false
	}
	p.mu.Unlock()
	return true
}

// subscribe adds names to those that c hears and confirms each. An error is
// that of the connection.
func (p *pubsub) subscribe(c *subscriber, kind audience, word string, names [][]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []byte
	for _, n := range names {
		name := string(n)
		if _, ok := c.names[kind][name]; !ok {
			if c.names[kind] == nil {
				c.names[kind] = map[string]struct{}{}
			}
			c.names[kind][name] = struct{}{}
			c.counts[kind].Add(1)
			if p.byName[kind][name] == nil {
				p.byName[kind][name] = map[*subscriber]struct{}{}
			}
			p.byName[kind][name][c] = struct{}{}
		}
		out = c.confirm(out, kind, word, command.BulkString(name))
	}
	return c.out.push(out, p.live.hardLimit(classPubsub))
}

// unsubscribe is the opposite; without names, of all of the kind.
func (p *pubsub) unsubscribe(c *subscriber, kind audience, word string, names [][]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(names) == 0 {
		all := sortedNames(c.names[kind])
		if len(all) == 0 {
			return c.out.push(c.confirm(nil, kind, word, command.Null()), p.live.hardLimit(classPubsub))
		}
		for _, n := range all {
			names = append(names, []byte(n))
		}
	}
	var out []byte
	for _, n := range names {
		p.forget(c, kind, string(n))
		out = c.confirm(out, kind, word, command.Bulk(n))
	}
	return c.out.push(out, p.live.hardLimit(classPubsub))
}

// leave forgets a connection.
func (p *pubsub) leave(c *subscriber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for kind := range audiences {
		for name := range c.names[kind] {
			p.forget(c, kind, name)
		}
	}
}

// hearsOnly says whether all that a connection hears is allowed.
func (p *pubsub) hearsOnly(c *subscriber, allowed func(kind audience, name string) bool) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for kind := range audiences {
		for name := range c.names[kind] {
			if !allowed(kind, name) {
				return false
			}
		}
	}
	return true
}

func (p *pubsub) forget(c *subscriber, kind audience, name string) {
	if _, ok := c.names[kind][name]; !ok {
		return
	}
	delete(c.names[kind], name)
	c.counts[kind].Add(-1)
	delete(p.byName[kind][name], c)
	if len(p.byName[kind][name]) == 0 {
		delete(p.byName[kind], name)
	}
}

// confirm appends what a subscriber is told of a change.
func (c *subscriber) confirm(out []byte, kind audience, word string, name command.Reply) []byte {
	return appendPush(out, []command.Reply{command.BulkString(word), name, command.Int(c.shown(kind))}, int(c.proto.Load()))
}

// deliver gives a message to those who hear it on this node, and tells how
// many they are: one who hears it by a channel and by a pattern gets it twice.
// It never waits. They have it when t is flushed.
func (p *pubsub) deliver(kind audience, channel, message []byte, t *hearers) (receivers int64) {
	word := "message"
	if kind == byShard {
		word = "smessage"
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	text := []command.Reply{command.BulkString(word),
		{Kind: command.KindBulk, Str: channel}, {Kind: command.KindBulk, Str: message}}
	receivers = p.send(p.byName[kind][string(channel)], text, t)
	if kind != byChannel {
		return receivers
	}
	for pattern, who := range p.byName[byPattern] {
		if redis.Match(channel, []byte(pattern)) {
			receivers += p.send(who, append([]command.Reply{command.BulkString("pmessage"), command.BulkString(pattern)}, text[1:]...), t)
		}
	}
	return receivers
}

// send encodes a message once a protocol version and queues it for each.
func (p *pubsub) send(who map[*subscriber]struct{}, text []command.Reply, t *hearers) (receivers int64) {
	var frames [resp3 + 1][]byte
	for c := range who {
		proto := int(c.proto.Load())
		if frames[proto] == nil {
			frames[proto] = appendPush(getBuffer(), text, proto)
		}
		p.queue(c, frames[proto], t)
		receivers++
	}
	for _, f := range frames {
		putBuffer(f) // what is large may be on its way still, and is left alone
	}
	return receivers
}

// queue puts a message before a subscriber, whom it drops if too much waits
// already.
func (p *pubsub) queue(c *subscriber, frame []byte, t *hearers) {
	if p.overSoftLimit(c) {
		c.out.drop(errOutputLimit)
		p.dropped.Add(1)
		return
	}
	if err := t.give(c.out, frame, p.live.hardLimit(classPubsub)); errors.Is(err, errOutputLimit) && c.overSince.Swap(alreadyDropped) != alreadyDropped {
		p.dropped.Add(1)
	}
}

// alreadyDropped marks a subscriber that was counted.
const alreadyDropped = -1

// overSoftLimit says whether more than the soft limit has waited for the
// subscriber all the time that is granted.
func (p *pubsub) overSoftLimit(c *subscriber) bool {
	since, limit := c.overSince.Load(), p.live.limit(classPubsub)
	switch {
	case since == alreadyDropped:
		return false
	case limit.soft == 0 || int64(c.out.waiting()) <= limit.soft:
		c.overSince.CompareAndSwap(since, 0)
		return false
	case since == 0:
		c.overSince.CompareAndSwap(0, time.Now().UnixMilli())
		return false
	}
	return time.Now().UnixMilli()-since > limit.patience.Milliseconds() &&
		c.overSince.CompareAndSwap(since, alreadyDropped)
}

// active lists the names of a kind that somebody hears, in order; those that
// match the pattern unless it is nil.
func (p *pubsub) active(kind audience, pattern []byte) []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	names := []string{}
	for name := range p.byName[kind] {
		if pattern == nil || redis.Match([]byte(name), pattern) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// count tells how many hear a name.
func (p *pubsub) count(kind audience, name []byte) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return int64(len(p.byName[kind][string(name)]))
}

// size tells how many names of a kind somebody hears.
func (p *pubsub) size(kind audience) int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return int64(len(p.byName[kind]))
}

func sortedNames(set map[string]struct{}) []string { return sortedKeys(set) }

func sortedKeys[V any](set map[string]V) []string {
	names := make([]string, 0, len(set))
	for n := range set {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}
