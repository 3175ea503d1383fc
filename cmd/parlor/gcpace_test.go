package main

import (
	"runtime/metrics"
	"testing"
)

func TestGarbageNeverTakesMuchMemory(t *testing.T) {
	for live := uint64(1 << 20); live < 64<<30; live = live*5/4 + 1 {
		p := gcPercent(live)
		garbage := live * uint64(p) / 100
		if p < gcUsual || p > gcMost || garbage > max(gcSlack, live) {
			t.Errorf("%d bytes in use: %d percent", live, p)
		}
		if live < gcModest && p != gcUsual {
			t.Errorf("an idle node with %d bytes in use: %d percent", live, p)
		}
	}
}

func TestTheMemoryInUseIsKnown(t *testing.T) {
	sample := []metrics.Sample{{Name: gcMetric}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 {
		t.Errorf("this Go does not tell %s", gcMetric)
	}
}
