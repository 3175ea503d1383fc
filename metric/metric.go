// Package metric has what the metrics of all packages share: the bounds of
// histograms, so that those of two packages can be laid over each other. It
// knows nothing of what is measured; docs/metrics.md lists that.
package metric

// Upper bounds of histograms' buckets.
var (
	// Latency is of what a client waits for, in seconds.
	Latency = []float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10}
	// Work is of what goes on in the background, in seconds.
	Work = []float64{0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300}
	// Counts is of things that come together.
	Counts = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
	// Sizes is in bytes.
	Sizes = []float64{256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 32 << 20}
)
