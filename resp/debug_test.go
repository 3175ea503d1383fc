package resp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// DEBUG RELOAD makes every key anew from its payload, in all databases, and
// nothing of it is lost; DEBUG DIGEST tells whether it is.
func TestDebugReload(t *testing.T) {
	store := newFakeStore(domainSpecs()...)
	srv := startServer(t, Config{Debug: true}, store)
	c := dial(t, srv.Addr())
	empty := c.do("DEBUG", "DIGEST")
	c.do("SET", "string", "v", "PX", "1000000")
	c.do("RPUSH", "list", "a", "b")
	c.do("SADD", "set", "a", "1", "b")
	c.do("ZADD", "zset", "1.5", "a", "-inf", "b")
	c.do("XADD", "stream", "1-1", "f", "v")
	c.do("XGROUP", "CREATE", "stream", "g", "0")
	c.do("XREADGROUP", "GROUP", "g", "c", "STREAMS", "stream", ">")
	for i := range 300 {
		c.do("HSET", "hash", fmt.Sprint("field", i), strings.Repeat("v", 20))
	}
	c.do("SELECT", "5")
	c.do("SET", "other", "v")
	c.do("COPY", "other", "twin")
	before, expires := c.do("DEBUG", "DIGEST"), c.do("PEXPIRETIME", "string")
	if before == empty {
		t.Error("the sum over nothing is that over all keys")
	}
	proposed := len(store.proposals)
	c.want("+OK", "DEBUG", "RELOAD", "NOSAVE")
	if made := len(store.proposals) - proposed; made != 8 {
		t.Errorf("%d keys were made anew, want 8", made)
	}
	c.want(before, "DEBUG", "DIGEST")
	c.want(expires, "PEXPIRETIME", "string")
	values := strings.Fields(c.do("DEBUG", "DIGEST-VALUE", "other", "twin", "none"))
	if len(values) != 3 || strings.Trim(values[0], "[") != values[1] || values[2] != "+"+strings.Repeat("0", 40)+"]" {
		t.Errorf("the sums over two equal values and none are %s", values)
	}
	c.do("APPEND", "other", "w")
	if c.do("DEBUG", "DIGEST") == before {
		t.Error("a value changed, and the sum did not")
	}
	c.want("-DENIED 'secret:…' is a domain key that clients can neither read nor change", "DEBUG", "DIGEST-VALUE", "secret:token_key")
}

// A transaction's commands are in SLOWLOG, with those that would wait, and EXEC
// is not.
func TestSlowlogOfTransactions(t *testing.T) {
	srv := startServer(t, Config{Debug: true}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want("+OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	c.do("RPUSH", "l", "a")
	c.do("MULTI")
	c.do("DEBUG", "SLEEP", "0")
	c.do("BLPOP", "l", "0")
	c.do("EXEC")
	c.want("+OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	got := c.do("SLOWLOG", "GET", "3")
	if strings.Contains(got, `"EXEC"`) || !strings.Contains(got, `["BLPOP" "l" "0"]`) || !strings.Contains(got, `["DEBUG" "SLEEP" "0"]`) {
		t.Errorf("SLOWLOG gives %s", got)
	}

	// A command that waited is there too, for what it did and not for the wait.
	c.want("+OK", "CONFIG", "SET", "slowlog-log-slower-than", "0")
	waiting := dial(t, srv.Addr())
	waiting.write(frame("BLPOP", "l", "0"))
	waitBlocked(t, srv, 1)
	c.do("DEBUG", "SLEEP", "0.2")
	c.do("RPUSH", "l", "b")
	waiting.read()
	c.want("+OK", "CONFIG", "SET", "slowlog-log-slower-than", "-1")
	if got := c.do("SLOWLOG", "GET", "3"); !strings.Contains(got, `["BLPOP" "l" "0"]`) {
		t.Errorf("SLOWLOG gives %s", got)
	}
	for _, line := range strings.Split(c.do("INFO", "commandstats"), `\r\n`) {
		var usec int
		if _, err := fmt.Sscanf(line, "cmdstat_blpop:calls=2,usec=%d", &usec); err == nil && usec >= 200_000 {
			t.Errorf("the time of BLPOP holds its wait: %s", line)
		}
	}
}

// The types of the protocol that nothing else here answers with.
func TestDebugProtocol(t *testing.T) {
	srv := startServer(t, Config{Debug: true}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want(`"1234567999999999999999999999999999999"`, "DEBUG", "PROTOCOL", "bignum")
	c.want(`"Some real reply following the attribute"`, "DEBUG", "PROTOCOL", "attrib")
	c.want(":1", "DEBUG", "PROTOCOL", "true")
	c.do("HELLO", "3")
	c.want("(1234567999999999999999999999999999999", "DEBUG", "PROTOCOL", "bignum")
	c.want("#t", "DEBUG", "PROTOCOL", "true")
	c.write(frame("DEBUG", "PROTOCOL", "attrib"))
	if line, err := c.r.ReadString('\n'); err != nil || line != "|1\r\n" {
		t.Errorf("an attribute begins with %q, %v", line, err)
	}
	for _, want := range []string{`"key-popularity"`, `["key:123" :90]`, `"Some real reply following the attribute"`} {
		if got := c.read(); got != want {
			t.Errorf("an attribute goes on with %s, want %s", got, want)
		}
	}
}

// DEBUG POPULATE makes the keys that Redis makes, and leaves alone what is there
// and what belongs to the domain.
func TestDebugPopulate(t *testing.T) {
	here := startServer(t, Config{Debug: true}, startNode(t)).Addr()
	ours, theirs := redistest.Dial(t, here.Network(), here.String()), redistest.Start(t, "--enable-debug-command", "yes")
	for line := range strings.SplitSeq(strings.TrimSpace(`
FLUSHALL
SET key:1 mine
DEBUG POPULATE 2500
DBSIZE
GET key:0
GET key:1
GET key:2499
DEBUG POPULATE 3 pre 10
MGET pre:0 pre:1 pre:2 pre:3
DEBUG POPULATE 1 cut 3
GET cut:0
DEBUG POPULATE 1 whole 0
GET whole:0
DEBUG POPULATE 0
DEBUG POPULATE x
DEBUG POPULATE -1
DEBUG POPULATE 1 a -5
DEBUG POPULATE 1 a 5 6
DEBUG POPULATE
DBSIZE
`), "\n") {
		args := strings.Fields(line)
		if got, want := fmt.Sprint(ours.Do(args...)), fmt.Sprint(theirs.Do(args...)); got != want {
			t.Errorf("%s answers %s, Redis %s", line, got, want)
		}
	}
	if got := ours.Do("DEBUG", "POPULATE", "5", "visitor"); got.Err() == nil || !strings.HasPrefix(got.Err().Error(), "DENIED") {
		t.Errorf("keys of the domain were made: %v", got)
	}
	if got := ours.Do("DEBUG", "POPULATE", "5", "large", "9000000000000000000"); got.Err() == nil {
		t.Errorf("values of 9 EB were made: %v", got)
	}
}
