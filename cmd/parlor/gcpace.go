package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A node's memory is mostly rows that wait for a checkpoint, and much garbage
// comes with each of them. Looking for it whenever as much has come together
// as is in use, as Go does by itself, is a tenth of the work of a busy node. So
// a node lets more of it come together, as long as that is not much memory.
const (
	gcSlack   = 384 << 20 // bytes of garbage that may come together
	gcMost    = 300       // … and at most so many percent of what is in use
	gcModest  = 32 << 20  // bytes in use below which memory is not spent
	gcUsual   = 100       // percent, what Go does by itself
	gcEvery   = time.Second
	gcMetric  = "/gc/heap/live:bytes"
	gcSetting = "GOGC" // whoever sets it decides himself
)

// gcPercent is how much garbage may come together beside so many bytes in use,
// in percent of them.
func gcPercent(live uint64) int {
	if live < gcModest {
		return gcUsual
	}
	return int(min(max(gcSlack*100/live, gcUsual), gcMost))
}

// paceGC keeps the pace of the garbage collector in proportion to what is in
// use until ctx ends.
func paceGC(ctx context.Context) {
	if os.Getenv(gcSetting) != "" {
		return
	}
	every := time.NewTicker(gcEvery)
	defer every.Stop()
	sample := []metrics.Sample{{Name: gcMetric}}
	for now := gcUsual; ; {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		// Each change stops the process for a moment.
		if p := gcPercent(sample[0].Value.Uint64()); p < now*9/10 || p > now*11/10 {
			debug.SetGCPercent(p)
			now = p
		}
	}
}
