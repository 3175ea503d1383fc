package pipeline

import (
	"fmt"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// counters are what is counted of one consumer.
type counters struct {
	done, failed, dead *metrics.Counter
	lag                atomic.Int64

	set     *metrics.Set
	lagName string
}

// newCounters registers a consumer's metrics. Site and consumer are names
// that need no quoting.
func newCounters(set *metrics.Set, site, consumer string) *counters {
	labels := fmt.Sprintf(`site=%q,consumer=%q`, site, consumer)
	count := func(result string) *metrics.Counter {
		return set.GetOrCreateCounter(fmt.Sprintf(`parlor_pipeline_events_total{%s,result=%q}`, labels, result))
	}
	c := &counters{
		done: count("done"), failed: count("failed"), dead: count("dead"),
		set: set, lagName: fmt.Sprintf(`parlor_pipeline_pending_events{%s}`, labels),
	}
	set.UnregisterMetric(c.lagName)
	set.NewGauge(c.lagName, func() float64 { return float64(c.lag.Load()) })
	return c
}

// close takes the gauge away: another node has the consumer now.
func (c *counters) close() { c.set.UnregisterMetric(c.lagName) }
