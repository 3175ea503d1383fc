package node

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parlorchat/parlor/storage/command"
)

// BenchmarkSet is replicated SETs by clients that wait for each answer, with
// three members in one process, as one line per number of clients and of
// requests that a client sends at once. Everybody's clients are at one member:
// the leader, or a follower.
func BenchmarkSet(b *testing.B) {
	g := form(b, 3, nil)
	l := g.leader()
	for _, at := range []string{"leader", "follower"} {
		m := g.members[l]
		if at == "follower" {
			m = g.members[(l+1)%3]
		}
		for _, c := range []struct{ clients, pipeline int }{{1, 1}, {50, 1}, {200, 1}, {50, 16}} {
			b.Run(fmt.Sprintf("at=%s/clients=%d/pipeline=%d", at, c.clients, c.pipeline), func(b *testing.B) {
				b.ReportAllocs()
				var left atomic.Int64
				left.Store(int64(b.N))
				var clients sync.WaitGroup
				for i := range c.clients {
					clients.Go(func() {
						key := []byte("key:" + strconv.Itoa(i))
						for left.Add(int64(-c.pipeline)) > int64(-c.pipeline) {
							reqs := make([]command.Request, c.pipeline)
							for j := range reqs {
								reqs[j].Commands = []command.Args{{[]byte("SET"), key, []byte("0123456789")}}
							}
							for _, r := range m.Propose(b.Context(), reqs) {
								if r.Err != nil {
									b.Error(r.Err)
									return
								}
							}
						}
					})
				}
				clients.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "set/s")
			})
		}
	}
}

// BenchmarkReadIndex is linearizable reads by 200 clients.
func BenchmarkReadIndex(b *testing.B) {
	g := form(b, 3, nil)
	l := g.leader()
	for _, at := range []string{"leader", "follower"} {
		m := g.members[l]
		if at == "follower" {
			m = g.members[(l+1)%3]
		}
		b.Run("at="+at, func(b *testing.B) {
			b.SetParallelism(100)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := m.ReadIndex(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
