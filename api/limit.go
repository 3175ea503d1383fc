package api

import (
	"hash/maphash"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may happen: PerSecond on average, Burst at
// once. The zero value is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits are the rates of one node. They guard against a client gone wild,
// not against load: a limit that ordinary use meets is set too low.
type Limits struct {
	Address   Rate // calls without a valid token, per address
	Visitor   Rate // calls of one visitor
	Agent     Rate // calls of one agent
	Login     Rate // attempts for one account from one address
	LoginFrom Rate // attempts from one address, for whatever account
}

// DefaultLimits are good for an office behind one address and for an agent
// who types fast in five chats.
func DefaultLimits() Limits {
	return Limits{
		Address:   Rate{PerSecond: 500, Burst: 2000},
		Visitor:   Rate{PerSecond: 100, Burst: 600},
		Agent:     Rate{PerSecond: 200, Burst: 1200},
		Login:     Rate{PerSecond: 0.2, Burst: 10},
		LoginFrom: Rate{PerSecond: 2, Burst: 60},
	}
}

const (
	limiterShards = 16
	// bucketIdle is how long a bucket is kept after its last use. All rates
	// refill a bucket in less.
	bucketIdle = 10 * time.Minute
)

// limiter holds one bucket a key, in shards, and forgets those not used.
type limiter struct {
	rate   Rate
	seed   maphash.Seed
	shards [limiterShards]limiterShard
}

type limiterShard struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	swept   time.Time
}

type bucket struct {
	limit *rate.Limiter
	used  time.Time
}

func newLimiter(r Rate) *limiter {
	l := &limiter{rate: r, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].buckets = map[string]*bucket{}
	}
	return l
}

// allow takes one from the bucket of key. If there is none, it says after
// what time there will be.
func (l *limiter) allow(key string, now time.Time) (wait time.Duration, ok bool) {
	if l.rate.PerSecond <= 0 {
		return 0, true
	}
	shard := &l.shards[maphash.String(l.seed, key)%limiterShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.sweep(now)
	b := shard.buckets[key]
	if b == nil {
		b = &bucket{limit: rate.NewLimiter(rate.Limit(l.rate.PerSecond), max(1, l.rate.Burst))}
		shard.buckets[key] = b
	}
	b.used = now
	r := b.limit.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// sweep forgets, once a while, the buckets that have filled up again.
func (s *limiterShard) sweep(now time.Time) {
	if now.Sub(s.swept) < bucketIdle/10 {
		return
	}
	s.swept = now
	for key, b := range s.buckets {
		if now.Sub(b.used) > bucketIdle {
			delete(s.buckets, key)
		}
	}
}

// check is allow as a problem.
func (l *limiter) check(key string, now time.Time) error {
	wait, ok := l.allow(key, now)
	if ok {
		return nil
	}
	return retryable(codeTooManyRequests, "too many requests; wait as long as Retry-After says", wait)
}
