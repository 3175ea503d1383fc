package pipeline

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Options are the numbers behind the guarantees. The zero value of each field
// stands for its default.
type Options struct {
	// Retry are the pauses before the first attempt, the second, and so on:
	// as many attempts as there are pauses. Default: DefaultRetry.
	Retry []time.Duration
	// Jitter is how much a pause may be longer or shorter, as a share of it.
	// Default 0.2.
	Jitter float64
	// Horizon is the age after which an event is given up when its consumer,
	// or its lane, has been failing for Grace. Default: the sum of Retry.
	Horizon time.Duration
	// Grace: see Horizon. Default one hour.
	Grace time.Duration

	// BreakAfter is how many failures in a row open a consumer's circuit: it
	// is then left alone for BreakMin, twice as long after every failed
	// trial, at most BreakMax. Defaults 10, 10 s, 5 min.
	BreakAfter         int
	BreakMin, BreakMax time.Duration

	// AckInterval is how often a cursor is written at most. Default 500 ms.
	AckInterval time.Duration
	// ReadAhead is how many events a consumer may be ahead of its cursor. An
	// event that keeps it there while others succeed is given up early.
	// Default 10 000.
	ReadAhead int64
	// ReadAheadBytes bounds what is held in memory of these, for a consumer.
	// Default 16 MiB.
	ReadAheadBytes int
	// Resync is how often the configs of all sites are looked at although
	// nothing said that they changed. Default 30 s.
	Resync time.Duration

	// Metrics, if given, gets the counters.
	Metrics *metrics.Set
	// Log, if given, gets what an operator should know.
	Log *slog.Logger
}

// DefaultRetry gives the pauses between attempts: ten attempts in about two
// days.
func DefaultRetry() []time.Duration {
	return []time.Duration{
		0, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute,
		time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
	}
}

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

func (o Options) withDefaults() Options {
	if len(o.Retry) == 0 {
		o.Retry = DefaultRetry()
	}
	var sum time.Duration
	for _, pause := range o.Retry {
		sum += pause
	}
	orElse(&o.Jitter, 0.2)
	orElse(&o.Horizon, sum)
	orElse(&o.Grace, time.Hour)
	orElse(&o.BreakAfter, 10)
	orElse(&o.BreakMin, 10*time.Second)
	orElse(&o.BreakMax, 5*time.Minute)
	orElse(&o.AckInterval, 500*time.Millisecond)
	orElse(&o.ReadAhead, 10_000)
	orElse(&o.ReadAheadBytes, 16<<20)
	orElse(&o.Resync, 30*time.Second)
	orElse(&o.Metrics, metrics.NewSet())
	orElse(&o.Log, slog.New(slog.NewTextHandler(io.Discard, nil)))
	return o
}

// pause gives the pause before attempt n, counted from 0; ok false: there is
// no such attempt.
func (o *Options) pause(n int) (d time.Duration, ok bool) {
	if n >= len(o.Retry) {
		return 0, false
	}
	return o.jitter(o.Retry[n]), true
}

func (o *Options) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + o.Jitter*(2*rand.Float64()-1)))
}
