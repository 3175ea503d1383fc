package resp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis/redistest"
)

// An operator looks at the connections and ends one.
func TestOperatorListsAndKillsClients(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	op, shop := dial(t, srv.Addr()), dial(t, srv.Addr())
	op.do("CLIENT", "SETNAME", "operator")
	shop.do("HELLO", "3", "SETNAME", "shop")
	shop.do("CLIENT", "SETINFO", "LIB-NAME", "go-redis")
	id := strings.TrimPrefix(shop.do("CLIENT", "ID"), ":")
	shop.do("MULTI")
	shop.do("GET", "k")
	list := op.do("CLIENT", "LIST")
	for _, want := range []string{"name=operator", "name=shop", "flags=x", "multi=1", "cmd=get", "resp=3", "lib-name=go-redis", "user=default", "id=" + id + " addr=" + shop.conn.LocalAddr().String()} {
		if !strings.Contains(list, want) {
			t.Errorf("CLIENT LIST does not show %q: %s", want, list)
		}
	}
	if got := op.do("CLIENT", "LIST", "ID", id); strings.Contains(got, "operator") || !strings.Contains(got, "shop") {
		t.Errorf("CLIENT LIST ID %s shows %s", id, got)
	}
	op.want(":0", "CLIENT", "KILL", "ID", id, "LADDR", "1.2.3.4:5")
	op.want(":1", "CLIENT", "KILL", "ID", id)
	if _, err := readReply(shop.r); err == nil {
		t.Error("a killed client is served on")
	}
	op.want(":0", "CLIENT", "KILL", "TYPE", "normal")
	op.want(":1", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
	op.wantClosed()
}

// INFO has what clients and monitoring look for.
func TestInfo(t *testing.T) {
	status := func() Status {
		return Status{NodeID: "n1", Role: "follower", Leader: "n2", Term: 7, Commit: 100, Applied: 99, StateHash: "00ff", Epoch: "e1", Members: 3, DiskBytes: 4096}
	}
	srv := startServer(t, Config{Status: status, Version: "1.2.3"}, newFakeStore())
	c := dial(t, srv.Addr())
	c.do("SET", "k", "v", "PX", "100000")
	c.do("SET", "k2", "v")
	c.do("GET", "k", "too", "many")
	info := c.do("INFO")
	for _, want := range []string{"redis_version:7.0.15", "redis_mode:standalone", "server_name:parlor", "parlor_version:1.2.3", "arch_bits:64", "loading:0", "role:master",
		"connected_clients:1", "used_memory:", "cluster_enabled:0", "db0:keys=2,expires=1,avg_ttl=", "# Parlor", "raft_role:follower", "raft_leader:n2",
		"raft_term:7", "raft_commit:100", "raft_applied:99", "state_hash:00ff", "members:3", "connected_slaves:2", "data_bytes:4096", fmt.Sprint("tcp_port:", srv.port()),
		"keyspace_hits:", "keyspace_misses:", "expired_keys:", "used_cpu_sys:", "used_cpu_user:", "rdb_last_save_time:"} {
		if !strings.Contains(info, want) {
			t.Errorf("INFO has no %s", want)
		}
	}
	if strings.Contains(info, "cmdstat_") {
		t.Error("INFO shows commandstats unasked")
	}
	stats := c.do("INFO", "commandstats", "keyspace")
	for _, want := range []string{"cmdstat_set:calls=2,", "cmdstat_get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0", "db0:"} {
		if !strings.Contains(stats, want) {
			t.Errorf("INFO commandstats has no %s: %s", want, stats)
		}
	}
	if strings.Contains(stats, "redis_version") {
		t.Error("INFO shows sections that were not asked for")
	}
	c.want("+OK", "CONFIG", "RESETSTAT")
	if got := c.do("INFO", "commandstats"); strings.Contains(got, "cmdstat_set") {
		t.Errorf("CONFIG RESETSTAT left %s", got)
	}
	c.want(":1", "WAIT", "1", "100")
	c.want(":1", "WAIT", "-1", "0")
	c.want("-ERR timeout is negative", "WAIT", "1", "-1")
}

// Programs that watch servers read fields of INFO by name, under headings that
// some look for: what Redis has is here, too.
func TestInfoHasTheFieldsOfRedis(t *testing.T) {
	absent := map[string]bool{ // how Redis is built and works inside
		"Server gcc_version": true, "Server atomicvar_api": true, "Server monotonic_clock": true,
		"Clients clients_in_timeout_table": true, "CPU used_cpu_sys_main_thread": true, "CPU used_cpu_user_main_thread": true,
		"Stats total_reads_processed": true, "Stats total_writes_processed": true, // not counted
	}
	here := startServer(t, Config{Status: func() Status { return Status{NodeID: "n1", DiskBytes: 1} }}, newFakeStore())
	fields := func(addr net.Addr) (names []string) {
		c := redistest.Dial(t, addr.Network(), addr.String())
		c.Do("SET", "k", "v", "PX", "100000")
		c.Do("NONSENSE")
		heading := ""
		for line := range strings.SplitSeq(c.Do("INFO", "everything").Text(), "\r\n") {
			if h, ok := strings.CutPrefix(line, "# "); ok {
				heading = h
				names = append(names, h)
			} else if name, _, ok := strings.Cut(line, ":"); ok {
				names = append(names, heading+" "+name)
			}
		}
		return names
	}
	ours := fields(here.Addr())
	for _, name := range fields(startRedis(t, "")) {
		if !slices.Contains(ours, name) && !absent[name] {
			t.Errorf("INFO has no %s", name)
		}
	}
}

// The mean time to live is that of keys that chance finds, or of the first to go
// where few expire.
func TestInfoTellsHowLongKeysHaveLeft(t *testing.T) {
	c := dial(t, startServer(t, Config{}, newFakeStore()).Addr())
	average := func() int {
		_, after, _ := strings.Cut(c.do("INFO", "keyspace"), "avg_ttl=")
		ms, err := strconv.Atoi(strings.TrimRight(after, `\rn"`))
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	for i := range 200 {
		c.want("+OK", "SET", fmt.Sprint("short", i), "v", "PX", "100000")
		c.want("+OK", "SET", fmt.Sprint("long", i), "v", "PX", "300000")
	}
	if got := average(); got < 120_000 || got > 280_000 {
		t.Errorf("of as many keys of 100 s and 300 s the average is %d ms", got)
	}
	c.want("+OK", "FLUSHALL")
	c.want("+OK", "SET", "short", "v", "PX", "100000")
	for i := range 30 {
		args := []string{"MSET"}
		for k := range 100 {
			args = append(args, fmt.Sprint("key", i, k), "v")
		}
		c.want("+OK", args...)
	}
	if got := average(); got < 1 || got > 100_000 {
		t.Errorf("of one key of 100 s among 3000 the average is %d ms", got)
	}
}

// SLOWLOG keeps what was slow, and never a password.
func TestSlowlogHidesSecrets(t *testing.T) {
	srv := startServer(t, Config{SlowlogThreshold: time.Nanosecond, SlowlogLength: 5, Password: "pw"}, newFakeStore(domainSpecs()...))
	c := dial(t, srv.Addr())
	c.do("AUTH", "default", "pw")
	c.do("HELLO", "3", "SETNAME", "AUTH", "AUTH", "default", "pw")
	c.do("AGENT.CREATE", "alice", "a long password")
	c.do("CONFIG", "SET", "timeout", "300", "requirepass", "a new password")
	c.do("SET", "k", strings.Repeat("v", 200))
	c.do(append([]string{"MGET"}, strings.Fields(strings.Repeat("k ", 40))...)...)
	log := c.do("SLOWLOG", "GET")
	for _, secret := range []string{`"pw"`, "a long password", "a new password", "hash-of-it"} {
		if strings.Contains(log, secret) {
			t.Errorf("SLOWLOG shows %s", secret)
		}
	}
	for _, want := range []string{`["HELLO" "3" "SETNAME" "AUTH" "AUTH" "(redacted)" "(redacted)"]`, `["AGENT.CREATE" "(redacted)" "(redacted)"]`, `["CONFIG" "SET" "timeout" "300" "requirepass" "(redacted)"]`, "... (72 more bytes)", "... (10 more arguments)"} {
		if !strings.Contains(log, want) {
			t.Errorf("SLOWLOG does not show %s: %s", want, log)
		}
	}
	c.want(":5", "SLOWLOG", "LEN")
	if got := c.do("SLOWLOG", "GET", "1"); strings.Count(got, "default") != 0 || !strings.Contains(got, `["SLOWLOG" "LEN"]`) {
		t.Errorf("SLOWLOG GET 1 shows %s", got)
	}
	c.want("+OK", "SLOWLOG", "RESET")
	c.want(":1", "SLOWLOG", "LEN") // RESET itself
}

// foreignConn seems to come from another machine.
type foreignConn struct{ net.Conn }

func (foreignConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 4711} }

func (c foreignConn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// openListener seems to listen to the whole network.
type openListener struct{ net.Listener }

func (l openListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4zero, Port: l.Listener.Addr().(*net.TCPAddr).Port}
}

func (l openListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return foreignConn{c}, nil
}

// Without a password the network finds the door closed; with one it may knock.
func TestNetworkNeedsPassword(t *testing.T) {
	for _, password := range []string{"", "pw"} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := NewOn(openListener{ln}, Config{Password: password}, newFakeStore(), slog.New(slog.NewTextHandler(io.Discard, nil)))
		served := make(chan error, 1)
		go func() { served <- srv.Serve() }()
		c := dial(t, ln.Addr())
		c.write(frame("PING"))
		got := c.read()
		if password == "" {
			if !strings.HasPrefix(got, "-DENIED ") {
				t.Errorf("a client on another machine gets %s", got)
			}
			c.wantClosed()
		} else if got != "-NOAUTH Authentication required." {
			t.Errorf("a client on another machine gets %s", got)
		}
		c.conn.Close()
		if err := srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// The operator is told at start what is open and what is shut.
func TestNotices(t *testing.T) {
	for _, tc := range []struct {
		config Config
		want   string
	}{
		{Config{}, "RESP on 127.0.0.1:6380 asks for no password"},
		{Config{Addr: "[::1]:6380"}, "RESP on [::1]:6380 asks for no password"},
		{Config{Addr: "localhost:1"}, "RESP on localhost:1 asks for no password"},
		{Config{Addr: ":6380"}, "clients on other machines are refused"},
		{Config{Addr: "0.0.0.0:6380"}, "clients on other machines are refused"},
		{Config{Addr: "chat.example.com:6380"}, "clients on other machines are refused"},
		{Config{Addr: "0.0.0.0:6380", Password: "pw"}, ""},
	} {
		got := strings.Join(tc.config.Notices(), "\n")
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.config.Addr, got, tc.want)
		}
	}
}

// slowStore lets a write wait until the test says so.
type slowStore struct {
	*fakeStore
	begun, release chan struct{}
}

func (s *slowStore) Propose(ctx context.Context, reqs []command.Request) []command.Result {
	s.begun <- struct{}{}
	select {
	case <-s.release:
		return s.fakeStore.Propose(ctx, reqs)
	case <-ctx.Done():
		return []command.Result{{Err: ctx.Err()}}
	}
}

func (s *slowStore) Submit(reqs []command.Request, limit time.Duration, done func([]command.Result)) (giveUp func()) {
	return startBy(s.Propose, reqs, limit, done)
}

// A server that stops answers what it is doing, within the time it is given.
func TestCloseAnswersWhatIsUnderWay(t *testing.T) {
	store := &slowStore{newFakeStore(), make(chan struct{}), make(chan struct{})}
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	c.write(frame("SET", "k", "v"))
	<-store.begun
	closed := make(chan error, 1)
	go func() { closed <- srv.Close(context.Background()) }()
	<-srv.stop
	close(store.release)
	if got := c.read(); got != "+OK" {
		t.Errorf("the write under way is answered %s", got)
	}
	c.wantClosed()
	c.conn.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A server that must stop now does, whatever the group does.
func TestCloseGivesUp(t *testing.T) {
	store := &slowStore{newFakeStore(), make(chan struct{}), make(chan struct{})}
	srv := startServer(t, Config{}, store)
	c := dial(t, srv.Addr())
	c.write(frame("SET", "k", "v"))
	<-store.begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Close(ctx); err != nil {
		t.Error(err)
	}
	reply, err := readReply(c.r)
	if err == nil { // it may still hear that nobody knows what became of its write
		if !strings.HasPrefix(reply, "-UNKNOWN") {
			t.Errorf("the write under way is answered %s", reply)
		}
		_, err = readReply(c.r)
	}
	if err == nil {
		t.Error("the connection is still open")
	}
}

// A write that the group does not answer in time is reported as unknown, never
// as failed.
func TestWriteWithoutAnswer(t *testing.T) {
	store := &slowStore{newFakeStore(), make(chan struct{}, 1), make(chan struct{})}
	srv := startServer(t, Config{RequestTimeout: 10 * time.Millisecond}, store)
	c := dial(t, srv.Addr())
	if got := c.do("SET", "k", "v"); !strings.HasPrefix(got, "-UNKNOWN ") {
		t.Errorf("the client is told %s", got)
	}
}

// shortListener fails to accept a few times, as when files run out.
type shortListener struct {
	net.Listener
	failures chan error
}

func (l shortListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.failures:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

// Running out of files delays clients and ends nothing.
func TestAcceptErrorsAreRetried(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failures := make(chan error, 2)
	failures <- fmt.Errorf("accept: too many open files")
	failures <- fmt.Errorf("accept: too many open files")
	srv := NewOn(shortListener{ln, failures}, Config{}, newFakeStore(), nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve() }()
	dial(t, ln.Addr()).want("+PONG", "PING")
	if err := srv.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
