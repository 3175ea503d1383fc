package pipeline

import "time"

// breaker keeps a consumer that fails from being tried all the time. Closed,
// it lets everything through. After limit failures in a row it opens: nothing
// goes through until a time, then a single trial does; if that fails too, the
// next pause is twice as long.
type breaker struct {
	limit    int           // failures in a row that open it
	min, max time.Duration // of a pause

	failures     int
	pause        time.Duration // the next one; 0: closed
	until        time.Time     // nothing goes through before
	failingSince time.Time     // the first of the failures; zero: the last attempt succeeded
}

// allows says whether an attempt may begin while others are under way.
func (b *breaker) allows(now time.Time, underWay int) bool {
	if now.Before(b.until) {
		return false
	}
	return b.pause == 0 || underWay == 0
}

// failed takes note of a failure, and says whether it opened the circuit.
func (b *breaker) failed(now time.Time, jitter func(time.Duration) time.Duration) (opened bool) {
	if b.failures++; b.failures == 1 {
		b.failingSince = now
	}
	if b.failures < b.limit || now.Before(b.until) {
		return false
	}
	opened = b.pause == 0
	b.pause = max(b.pause, b.min)
	b.rest(now.Add(jitter(b.pause)))
	b.pause = min(2*b.pause, b.max)
	return opened
}

// succeeded closes the circuit, and says whether it was open.
func (b *breaker) succeeded() (recovered bool) {
	recovered = b.pause > 0
	b.failures, b.pause, b.failingSince = 0, 0, time.Time{}
	return recovered
}

// rest lets nothing through before a time.
func (b *breaker) rest(until time.Time) {
	if until.After(b.until) {
		b.until = until
	}
}

// failingFor is how long every attempt has failed.
func (b *breaker) failingFor(now time.Time) time.Duration {
	if b.failingSince.IsZero() {
		return 0
	}
	return now.Sub(b.failingSince)
}
