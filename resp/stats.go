package resp

import (
	"sync/atomic"
	"time"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// Stats counts what a Server has done since it was made. The fields may be
// read at any time.
type Stats struct {
	Clients        atomic.Int64 // connected now
	Blocked        atomic.Int64 // waiting in a blocking command now
	Accepted       atomic.Int64 // connections
	Refused        atomic.Int64 // connections, for want of room or of a password
	Killed         atomic.Int64 // connections, by CLIENT KILL
	TimedOut       atomic.Int64 // connections that were idle or slow for too long
	Lagged         atomic.Int64 // connections that were dropped because they did not read
	Evicted        atomic.Int64 // connections that were ended because all used too much memory
	Commands       atomic.Int64 // carried out
	Failed         atomic.Int64 // answered with an error
	Vain           atomic.Int64 // writes that changed nothing and were answered without the log
	ProtocolErrors atomic.Int64
	AuthFailures   atomic.Int64
	BytesIn        atomic.Int64
	BytesOut       atomic.Int64
	Hits           atomic.Int64 // keys that reads outside of transactions have found
	Misses         atomic.Int64 // … and not found
}

func (s *Stats) looked(t keyspace.Tally) {
	if t.Found > 0 {
		s.Hits.Add(t.Found)
	}
	if t.Missed > 0 {
		s.Misses.Add(t.Missed)
	}
}

// CommandStats is what is counted of each command.
type CommandStats struct {
	Name     string // upper case; a subcommand as "CLIENT|LIST"
	Calls    int64
	Failures int64         // answered with an error
	Rejected int64         // of Failures: not even begun
	Time     time.Duration // of all calls together
}

// callStats are the counters behind a CommandStats.
type callStats struct {
	calls, failures, rejected atomic.Int64
	nanos                     atomic.Int64
	times                     histogram
}

func (c *callStats) note(took time.Duration, failed bool) {
	c.calls.Add(1)
	c.nanos.Add(int64(took))
	if failed {
		c.failures.Add(1)
	}
}

func (c *callStats) reset() {
	c.calls.Store(0)
	c.failures.Store(0)
	c.rejected.Store(0)
	c.nanos.Store(0)
	c.times.reset()
}

func (c *callStats) snapshot(name string) CommandStats {
	return CommandStats{
		Name:     name,
		Calls:    c.calls.Load(),
		Failures: c.failures.Load(),
		Rejected: c.rejected.Load(),
		Time:     time.Duration(c.nanos.Load()),
	}
}
