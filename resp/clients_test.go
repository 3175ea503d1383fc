package resp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// go-redis, in both protocols, finds what it needs.
func TestGoRedis(t *testing.T) {
	for _, proto := range []int{2, 3} {
		t.Run(fmt.Sprint("RESP", proto), func(t *testing.T) {
			srv := startServer(t, Config{Password: "pw"}, newFakeStore(domainSpecs()...))
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			rdb := redis.NewClient(&redis.Options{Addr: srv.Addr().String(), Password: "pw", Protocol: proto, ClientName: "shop"})
			defer rdb.Close()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(rdb.Set(ctx, "k", "v", time.Hour).Err())
			if got, err := rdb.Get(ctx, "k").Result(); got != "v" || err != nil {
				t.Errorf("GET: %q, %v", got, err)
			}
			if _, err := rdb.Get(ctx, "none").Result(); !errors.Is(err, redis.Nil) {
				t.Errorf("GET of nothing: %v", err)
			}
			must(rdb.HSet(ctx, "h", "a", "1", "b", "2").Err())
			if got, err := rdb.HGetAll(ctx, "h").Result(); fmt.Sprint(got) != "map[a:1 b:2]" || err != nil {
				t.Errorf("HGETALL: %v, %v", got, err)
			}
			must(rdb.ZAdd(ctx, "z", redis.Z{Score: 1.5, Member: "m"}).Err())
			if got, err := rdb.ZRangeWithScores(ctx, "z", 0, -1).Result(); fmt.Sprint(got) != "[{1.5 m}]" || err != nil {
				t.Errorf("ZRANGE WITHSCORES: %v, %v", got, err)
			}
			if got, err := rdb.SMembersMap(ctx, "s").Result(); len(got) != 0 || err != nil {
				t.Errorf("SMEMBERS: %v, %v", got, err)
			}
			cmds, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Incr(ctx, "n")
				p.Incr(ctx, "n")
				return nil
			})
			must(err)
			if got := cmds[1].(*redis.IntCmd).Val(); got != 2 {
				t.Errorf("the second INCR of a transaction: %d", got)
			}
			err = rdb.Watch(ctx, func(tx *redis.Tx) error {
				must(rdb.Set(ctx, "n", "elsewhere", 0).Err())
				_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, "n", "here", 0).Err() })
				return err
			}, "n")
			if !errors.Is(err, redis.TxFailedErr) {
				t.Errorf("a transaction on a changed key: %v", err)
			}
			infos, err := rdb.Command(ctx).Result()
			must(err)
			if info := infos["visitor.create"]; info == nil || info.Arity != -3 || info.ReadOnly {
				t.Errorf("COMMAND describes VISITOR.CREATE as %+v", info)
			}
			if got, err := rdb.ClientGetName(ctx).Result(); got != "shop" || err != nil {
				t.Errorf("CLIENT GETNAME: %q, %v", got, err)
			}
			iter := rdb.Scan(ctx, 0, "*", 2).Iterator()
			seen := map[string]bool{}
			for iter.Next(ctx) {
				seen[iter.Val()] = true
			}
			if iter.Err() != nil || len(seen) != 4 {
				t.Errorf("SCAN saw %v, %v", seen, iter.Err())
			}
			if got, err := rdb.Do(ctx, "VISITOR.CREATE", "v1", "demo").Result(); got != "OK" || err != nil {
				t.Errorf("VISITOR.CREATE: %v, %v", got, err)
			}
			if err := rdb.Set(ctx, "visitor:v1", "x", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "DENIED") {
				t.Errorf("SET on a domain key: %v", err)
			}
			must(rdb.XAdd(ctx, &redis.XAddArgs{Stream: "st", ID: "1-0", Values: []string{"f", "v"}}).Err())
			streams, err := rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{"st", "0"}, Block: time.Hour}).Result()
			if fmt.Sprint(streams) != "[{st [{1-0 map[f:v] 0 0}]}]" || err != nil {
				t.Errorf("XREAD: %v, %v", streams, err)
			}
			if _, err := rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{"st", "$"}, Block: time.Millisecond}).Result(); !errors.Is(err, redis.Nil) {
				t.Errorf("XREAD that waits in vain: %v", err)
			}
			wrong := redis.NewClient(&redis.Options{Addr: srv.Addr().String(), Password: "no", Protocol: proto})
			defer wrong.Close()
			if err := wrong.Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
				t.Errorf("a wrong password: %v", err)
			}
		})
	}
}

// redis-cli, as a person uses it.
func TestRedisCLI(t *testing.T) {
	path, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed")
	}
	srv := startServer(t, Config{}, newFakeStore(domainSpecs()...))
	host, port, err := net.SplitHostPort(srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cli := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(path, append([]string{"-h", host, "-p", port}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("redis-cli %s: %v\n%s%s", args, err, out, errs.String())
		}
		return strings.TrimSpace(string(out))
	}
	for _, tc := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"SET", "k", "v"}, "OK"},
		{"", []string{"-3", "HSET", "visits", "a", "1"}, "1"},
		{"", []string{"-3", "--no-raw", "HGETALL", "visits"}, `1# "a" => "1"`},
		{"", []string{"--no-raw", "HGETALL", "visits"}, "1) \"a\"\n2) \"1\""},
		{"GET k\nMULTI\nINCR n\nEXEC\n", nil, "v\nOK\nQUEUED\n1"},
		{"", []string{"VISITOR.CREATE", "v1", "demo"}, "OK"},
		{"", []string{"HGET", "visitor:v1", "site"}, "demo"},
		{"", []string{"--scan", "--pattern", "visitor:*"}, "visitor:v1"},
		{"", []string{"-3", "NOSUCH"}, "ERR unknown command 'NOSUCH', with args beginning with:"},
	} {
		if got := cli(tc.stdin, tc.args...); got != tc.want {
			t.Errorf("redis-cli %s < %q prints\n%s\nwant\n%s", tc.args, tc.stdin, got, tc.want)
		}
	}
	for _, proto := range []string{"-2", "-3"} {
		help := cli("HELP VISITOR.CREATE\n", proto)
		for _, want := range []string{"VISITOR.CREATE", "id site", "Makes a visitor known.", "0.1.0"} {
			if !strings.Contains(help, want) {
				t.Errorf("HELP with %s does not say %q:\n%s", proto, want, help)
			}
		}
	}
	if got := cli("", "--bigkeys"); !strings.Contains(got, "Sampled 4 keys in the keyspace!") {
		t.Errorf("--bigkeys prints\n%s", got)
	}
	if got := cli("SET a 1\r\nSET b 2\r\n", "--pipe"); !strings.Contains(got, "errors: 0, replies: 2") {
		t.Errorf("--pipe prints\n%s", got)
	}
}
