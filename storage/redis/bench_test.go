package redis_test

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCommands runs each command as a log entry of its own.
func BenchmarkCommands(b *testing.B) {
	for _, cmd := range []string{
		"SET key:$ value", "GET key:$", "INCR counter", "HSET visitor:$ status chatting last_seen 1700000000000", "HGETALL visitor:$",
		"SADD members $", "ZADD seen $ $", "ZRANGE seen 0 9 WITHSCORES", "XADD events * type chat.open chat 1", "XREAD COUNT 10 STREAMS events 0",
	} {
		b.Run(strings.Fields(cmd)[0], func(b *testing.B) {
			o := newOurs()
			o.do("HSET", "visitor:1", "id", "1", "status", "browsing")
			b.ReportAllocs()
			for i := range b.N {
				if r := o.do(strings.Fields(strings.ReplaceAll(cmd, "$", fmt.Sprint(i%10_000)))...); r.Err() != nil {
					b.Fatal(r.Err())
				}
			}
		})
	}
}
