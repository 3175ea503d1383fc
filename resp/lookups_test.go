package resp

import (
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// What reads have found and not found is counted as Redis counts it, and what
// has expired.
func TestLookupsAreCountedAsInRedis(t *testing.T) {
	theirs := redistest.Start(t)
	member := startNode(t)
	addr := startServer(t, Config{Status: func() Status { return Status{Expired: member.ExpiredKeys()} }}, member).Addr()
	ours := redistest.Dial(t, addr.Network(), addr.String())
	figure := func(c *redistest.Conn, name string) string {
		t.Helper()
		for line := range strings.Lines(string(c.Do("INFO", "stats").Str)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
				return value
			}
		}
		t.Fatalf("INFO stats has no %s", name)
		return ""
	}
	both := []*redistest.Conn{ours, theirs}
	for _, line := range []string{
		"SET s 1", "HSET h f v g w", "SADD a 1 2", "SADD b 2 3", "ZADD z 1 m", "RPUSH l x y", "XADD x * f v",
		"GET s", "GET none", "MGET s none s none2", "EXISTS s none", "TYPE s", "TTL none", "STRLEN s", "GETRANGE s 0 1",
		"HGETALL h", "HGET h f", "HGET none f", "HMGET h f none", "HLEN h", "SMEMBERS a", "SINTER a b", "SINTER a none", "SISMEMBER a 1",
		"ZRANGE z 0 -1 WITHSCORES", "ZSCORE z m", "ZRANGE none 0 -1", "LRANGE l 0 -1", "LLEN none", "LINDEX l 0", "XLEN x", "XRANGE x - +",
		"GET h", "HGETALL s", "SSCAN a 0", "BITCOUNT s", "DBSIZE", "SCAN 0",
	} {
		hits, misses := [2]string{}, [2]string{}
		for i, c := range both {
			c.Do("CONFIG", "RESETSTAT")
			c.Do(strings.Fields(line)...)
			hits[i], misses[i] = figure(c, "keyspace_hits"), figure(c, "keyspace_misses")
		}
		if hits[0] != hits[1] || misses[0] != misses[1] {
			t.Errorf("%s counts %s found and %s missed, in Redis %s and %s", line, hits[0], misses[0], hits[1], misses[1])
		}
	}
	ours.Do("SET", "brief", "v", "PX", "1")
	redistest.Until(t, "the key to expire", func() bool {
		ours.Do("INCR", "brief") // whoever writes to it removes it first; or the node has, by itself
		return figure(ours, "expired_keys") != "0"
	})
}
