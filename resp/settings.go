package resp

import (
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// settings are what CONFIG SET changes while the server runs, on this node and
// until it stops. Any goroutine may read them.
type settings struct {
	maxClients    atomic.Int64
	idleTimeout   atomic.Int64 // ns; 0: none
	keepAlive     atomic.Int64 // s; 0: none
	slowerThan    atomic.Int64 // µs; negative: none is slow
	slowLength    atomic.Int64
	latencyFrom   atomic.Int64 // ms; 0: nothing is noted
	aclLogLength  atomic.Int64
	clientMemory  atomic.Int64              // bytes over all clients; 0: any
	memoryShare   atomic.Int64              // clientMemory in percent of the memory, as it was set; 0: in bytes
	latencyCounts atomic.Bool               // LATENCY HISTOGRAM is kept
	percentiles   atomic.Pointer[[]float64] // that INFO latencystats has
	trackedKeys   atomic.Int64              // keys that CLIENT TRACKING remembers; 0: any
	limits        atomic.Pointer[[clientClasses]outputLimit]

	mu   sync.Mutex
	kept map[string]string // what has no effect here, and what CONFIG GET answers
}

const defaultTrackedKeys = 1_000_000

// clientClass is a kind of client that has output limits of its own.
type clientClass uint8

const (
	classNormal clientClass = iota
	classReplica
	classPubsub
	clientClasses
)

func (c clientClass) String() string { return [...]string{"normal", "slave", "pubsub"}[c] }

// outputLimit says how many bytes may wait for a client, at all and for longer
// than patience, before it is dropped. 0: any.
type outputLimit struct {
	hard, soft int64
	patience   time.Duration
}

func newSettings(c *Config) *settings {
	s := &settings{kept: map[string]string{}}
	s.maxClients.Store(int64(c.MaxClients))
	s.idleTimeout.Store(int64(c.IdleTimeout))
	s.keepAlive.Store(int64(c.KeepAlive / time.Second))
	s.slowerThan.Store(-1)
	if c.SlowlogThreshold >= 0 {
		s.slowerThan.Store(c.SlowlogThreshold.Microseconds())
	}
	s.slowLength.Store(int64(c.SlowlogLength))
	s.aclLogLength.Store(defaultACLLog)
	s.clientMemory.Store(max(c.ClientMemory, 0))
	s.trackedKeys.Store(defaultTrackedKeys)
	s.latencyCounts.Store(true)
	s.percentiles.Store(&[]float64{50, 99, 99.9})
	var limits [clientClasses]outputLimit
	limits[classReplica] = outputLimit{256 << 20, 64 << 20, time.Minute}
	limits[classPubsub] = outputLimit{int64(c.PubsubLimit), int64(c.PubsubSoftLimit), c.PubsubSoftTime}
	s.limits.Store(&limits)
	return s
}

func (s *settings) limit(c clientClass) *outputLimit { return &s.limits.Load()[c] }

// hardLimit is limit for outboxes, which know no "any".
func (s *settings) hardLimit(c clientClass) int {
	if hard := s.limit(c).hard; hard > 0 {
		return int(hard)
	}
	return math.MaxInt
}

// keep sets how a connection finds out that its client is gone.
func (s *settings) keep(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = c.NetConn() // below TLS
	}
	tcp, ok := conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if !ok {
		return
	}
	idle := time.Duration(s.keepAlive.Load()) * time.Second
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: idle > 0, Idle: idle, Interval: max(idle/3, time.Second), Count: 3})
}
