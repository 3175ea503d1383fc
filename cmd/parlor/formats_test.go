package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// backupsFolder has a backup of each format that was ever written, and beside
// each the keys that it holds. They are added and never changed.
const backupsFolder = "../../testdata/backups"

// TestBackupsOfEveryFormatRestore: whoever kept a backup can use it.
func TestBackupsOfEveryFormatRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real nodes")
	}
	if os.Getenv("PARLOR_NEW_BACKUP") != "" {
		writeFormat(t, filepath.Join(backupsFolder, os.Getenv("PARLOR_NEW_BACKUP")))
	}
	files, err := filepath.Glob(filepath.Join(backupsFolder, "*.parlor"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no backups are kept in %s: %v", backupsFolder, err)
	}
	t.Setenv("PARLOR_TEST_PROGRAM", "1")
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".parlor") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			g := newLocalGroup(t.TempDir(), 1, freePorts(t, 1))
			m := g.members[0]
			t.Cleanup(func() { _ = m.kill() })
			if _, err := parlor(t.Context(), "restore", file, "--data-dir", m.dataDir, "--cluster", m.cluster, "--http", m.http, "--resp", m.resp); err != nil {
				t.Fatal(err)
			}
			g.mustStart(t, m)
			if got := describe(t, m.resp); got != string(want) {
				t.Errorf("after the restore the keys are\n%s\nwant\n%s", got, want)
			}
			g.stop(20 * time.Second)
			if _, err := parlor(t.Context(), "storage", "check", "--data-dir", m.dataDir); err != nil {
				t.Error(err)
			}
		})
	}
}

// writeFormat makes a small backup with every type, and what it holds.
func writeFormat(t *testing.T, name string) {
	g := startGroup(t, 1, demoSite())
	client := redis.NewClient(&redis.Options{Addr: g.members[0].resp})
	defer func() { _ = client.Close() }()
	do := func(c *redis.Client, args ...any) {
		t.Helper()
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	do(client, "SET", "a:string", "some text, ünïcode and \x00 bytes")
	do(client, "SET", "a:counter", 41)
	do(client, "INCR", "a:counter")
	do(client, "SET", "a:string:that-expires", "in a hundred years", "EXAT", 4_000_000_000)
	do(client, "HSET", "a:hash", "one", "1", "two", "2")
	do(client, "SADD", "a:set", "x", "y", "z")
	do(client, "ZADD", "a:zset", 1.5, "low", 2.5, "high", "-inf", "lowest")
	do(client, "RPUSH", "a:list", "first", "second", "third")
	do(client, "LPUSH", "a:list", "zeroth")
	do(client, "XADD", "a:stream", "1-1", "k", "v")
	do(client, "XADD", "a:stream", "2-1", "k", "w")
	do(client, "XGROUP", "CREATE", "a:stream", "workers", "0")
	do(client, "XREADGROUP", "GROUP", "workers", "w1", "COUNT", 1, "STREAMS", "a:stream", ">")
	do(client, "SETBIT", "a:bitmap", 100, 1)
	do(client, "PFADD", "a:hyperloglog", "p", "q", "r")
	for i := range 300 { // in rows of their own
		do(client, "HSET", "large:hash", fmt.Sprintf("field%03d", i), strings.Repeat(string(rune('a'+i%26)), 40))
		do(client, "ZADD", "large:zset", i%7, fmt.Sprintf("member%03d", i))
		do(client, "RPUSH", "large:list", fmt.Sprintf("element%03d", i))
	}
	do(client, "SET", "deleted", "soon")
	do(client, "DEL", "deleted")
	other := redis.NewClient(&redis.Options{Addr: g.members[0].resp, DB: 3})
	defer func() { _ = other.Close() }()
	do(other, "SET", "in-another-database", "yes")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := parlor(t.Context(), "backup", name+".parlor", "--data-dir", g.members[0].dataDir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".txt", []byte(describe(t, g.members[0].resp)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// describe gives every key that is not the domain's, with its value.
func describe(t *testing.T, addr string) string {
	t.Helper()
	var lines []string
	for _, db := range []int{0, 3} {
		client := redis.NewClient(&redis.Options{Addr: addr, DB: db})
		keys := client.Scan(t.Context(), 0, "", 0).Iterator()
		for keys.Next(t.Context()) {
			if key := keys.Val(); db != 0 || strings.HasPrefix(key, "a:") || strings.HasPrefix(key, "large:") {
				lines = append(lines, fmt.Sprintf("%d %s", db, describeKey(t, client, key)))
			}
		}
		if err := keys.Err(); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n"
}

func describeKey(t *testing.T, client *redis.Client, key string) string {
	t.Helper()
	ctx := context.Background()
	kind, err := client.Type(ctx, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	var value any
	switch kind {
	case "string":
		value, err = client.Get(ctx, key).Result()
	case "hash":
		value, err = client.HGetAll(ctx, key).Result() // printed in the order of its fields
	case "set":
		var members []string
		members, err = client.SMembers(ctx, key).Result()
		sort.Strings(members)
		value = members
	case "zset":
		value, err = client.ZRangeWithScores(ctx, key, 0, -1).Result()
	case "list":
		value, err = client.LRange(ctx, key, 0, -1).Result()
	case "stream":
		var entries []redis.XMessage
		entries, err = client.XRange(ctx, key, "-", "+").Result()
		groups, gerr := client.XInfoGroups(ctx, key).Result()
		if err == nil {
			err = gerr
		}
		value = fmt.Sprintf("%v %+v", entries, groups)
	default:
		t.Fatalf("%s is a %s", key, kind)
	}
	if err != nil {
		t.Fatalf("reading %s: %v", key, err)
	}
	expires, err := client.ExpireTime(ctx, key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s expires %v: %.2000q", key, kind, expires, fmt.Sprint(value))
}
