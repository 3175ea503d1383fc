package resp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// goRedisPlayer plays steps through go-redis.
type goRedisPlayer struct {
	protocol int
	clients  map[string]*goredis.Client
	started  map[string]chan outcome
	heard    map[string]*goredis.PubSub
}

func playGoRedis(t *testing.T, protocol int, steps []libStep) []outcome {
	p := &goRedisPlayer{protocol: protocol, clients: map[string]*goredis.Client{}, started: map[string]chan outcome{},
		heard: map[string]*goredis.PubSub{}}
	defer p.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []outcome
	for _, s := range steps {
		v, err := p.step(ctx, s)
		out = append(out, told(v, err))
	}
	return out
}

func (p *goRedisPlayer) close() {
	for _, sub := range p.heard {
		_ = sub.Close()
	}
	for _, c := range p.clients {
		_ = c.Close()
	}
}

// told brings an outcome into the form in which those of other programs come.
func told(v any, err error) outcome {
	if err != nil && !errors.Is(err, goredis.Nil) {
		return outcome{E: err.Error()}
	}
	b, err := json.Marshal(v)
	if err != nil {
		b, _ = json.Marshal(fmt.Sprint(v)) // a map with keys that are no strings
	}
	var o outcome
	_ = json.Unmarshal(b, &o.V)
	return o
}

func (p *goRedisPlayer) client(s libStep) *goredis.Client {
	if p.clients[s.On] == nil {
		db, _ := strconv.Atoi(s.Options["db"])
		p.clients[s.On] = goredis.NewClient(&goredis.Options{
			Addr: s.Addr, Protocol: p.protocol, Username: s.Options["user"], Password: s.Options["password"], DB: db,
			PoolSize: 1, MaxRetries: -1,
		})
	}
	return p.clients[s.On]
}

func (p *goRedisPlayer) step(ctx context.Context, s libStep) (any, error) {
	switch s.Verb {
	case "connect":
		if c := p.clients[s.On]; c != nil {
			_ = c.Close()
			delete(p.clients, s.On)
		}
		return "connected", p.client(s).Ping(ctx).Err()
	case "do":
		cmd := typedCmd(ctx, s.Args)
		_ = p.client(s).Process(ctx, cmd)
		return cmdOutcome(cmd)
	case "start":
		c, done := p.client(s), make(chan outcome, 1)
		p.started[s.On] = done
		go func() {
			cmd := typedCmd(ctx, s.Args)
			_ = c.Process(ctx, cmd)
			done <- told(cmdOutcome(cmd))
		}()
		return "started", nil
	case "wait":
		o := <-p.started[s.On]
		if o.E != "" {
			return nil, errors.New(o.E)
		}
		return o.V, nil
	case "pipeline":
		return p.queued(ctx, s, p.client(s).Pipeline())
	case "multi":
		return p.multi(ctx, s)
	case "subscribe", "psubscribe":
		return p.subscribe(ctx, s)
	case "messages":
		return p.messages(ctx, s)
	case "scan":
		return p.scan(ctx, s)
	case "gone":
		for p.client(s).Exists(ctx, s.Args[0]).Val() != 0 && ctx.Err() == nil {
			time.Sleep(2 * time.Millisecond) // between two looks
		}
		return "gone", ctx.Err()
	}
	return nil, errors.New("unknown verb " + s.Verb)
}

func (p *goRedisPlayer) queued(ctx context.Context, s libStep, pipe goredis.Pipeliner) (any, error) {
	for _, args := range s.Commands {
		_ = pipe.Process(ctx, typedCmd(ctx, args))
	}
	cmds, err := pipe.Exec(ctx)
	if errors.Is(err, goredis.TxFailedErr) {
		return nil, err
	}
	var all []outcome
	for _, c := range cmds {
		all = append(all, told(cmdOutcome(c)))
	}
	return all, nil
}

func (p *goRedisPlayer) multi(ctx context.Context, s libStep) (v any, err error) {
	if len(s.Watch) == 0 {
		return p.queued(ctx, s, p.client(s).TxPipeline())
	}
	err = p.client(s).Watch(ctx, func(tx *goredis.Tx) error {
		other := goredis.NewClient(&goredis.Options{Addr: s.Addr})
		defer other.Close()
		for _, args := range s.Meanwhile {
			if err := other.Process(ctx, typedCmd(ctx, args)); err != nil {
				return err
			}
		}
		var err error
		v, err = p.queued(ctx, s, tx.TxPipeline())
		return err
	}, s.Watch...)
	return v, err
}

func (p *goRedisPlayer) subscribe(ctx context.Context, s libStep) (any, error) {
	sub := p.client(s).Subscribe(ctx)
	p.heard[s.On] = sub
	listen := sub.Subscribe
	if s.Verb == "psubscribe" {
		listen = sub.PSubscribe
	}
	if err := listen(ctx, s.Args...); err != nil {
		return nil, err
	}
	var all []string
	for range s.Args {
		got, err := sub.Receive(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprint(got))
	}
	return all, nil
}

func (p *goRedisPlayer) messages(ctx context.Context, s libStep) (any, error) {
	n, _ := strconv.Atoi(s.Args[0])
	var all []*goredis.Message
	for range n {
		m, err := p.heard[s.On].ReceiveMessage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (p *goRedisPlayer) scan(ctx context.Context, s libStep) (any, error) {
	name, rest := s.Args[0], s.Args[1:]
	key := ""
	if name != "SCAN" {
		key, rest = rest[0], rest[1:]
	}
	match, count := "", int64(0)
	for i := 0; i+1 < len(rest); i += 2 {
		if rest[i] == "MATCH" {
			match = rest[i+1]
		} else {
			count, _ = strconv.ParseInt(rest[i+1], 10, 64)
		}
	}
	c := p.client(s)
	var it *goredis.ScanIterator
	switch name {
	case "SCAN":
		it = c.Scan(ctx, 0, match, count).Iterator()
	case "HSCAN":
		it = c.HScan(ctx, key, 0, match, count).Iterator()
	case "SSCAN":
		it = c.SScan(ctx, key, 0, match, count).Iterator()
	default:
		it = c.ZScan(ctx, key, 0, match, count).Iterator()
	}
	var all []string
	for it.Next(ctx) {
		all = append(all, it.Val())
	}
	return all, it.Err()
}

// cmdOutcome gives the value of a command in its own type.
func cmdOutcome(c goredis.Cmder) (any, error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	return reflect.ValueOf(c).MethodByName("Val").Call(nil)[0].Interface(), nil
}

// typedCmd makes the command that reads the reply as the client's own method
// does.
func typedCmd(ctx context.Context, words []string) goredis.Cmder {
	args := make([]any, len(words))
	withScores := false
	for i, w := range words {
		args[i] = w
		withScores = withScores || w == "WITHSCORES"
	}
	switch name := strings.ToUpper(words[0]); name {
	case "SET", "RENAME", "TYPE", "FLUSHALL", "LTRIM", "LSET", "MSET":
		return goredis.NewStatusCmd(ctx, args...)
	case "GET", "GETRANGE", "LPOP", "RPOP", "HGET", "XADD", "BRPOPLPUSH", "LMOVE":
		return goredis.NewStringCmd(ctx, args...)
	case "INCR", "INCRBY", "DEL", "EXISTS", "LPUSH", "RPUSH", "LLEN", "HSET", "HDEL", "HLEN", "SADD", "SREM", "SCARD", "ZADD", "ZCARD",
		"ZRANK", "XLEN", "XACK", "PUBLISH", "STRLEN", "APPEND", "XDEL":
		return goredis.NewIntCmd(ctx, args...)
	case "EXPIRE", "PERSIST", "SISMEMBER", "HEXISTS", "SETNX":
		return goredis.NewBoolCmd(ctx, args...)
	case "PTTL":
		return goredis.NewDurationCmd(ctx, time.Millisecond, args...)
	case "INCRBYFLOAT", "HINCRBYFLOAT", "ZSCORE", "ZINCRBY", "GEODIST":
		return goredis.NewFloatCmd(ctx, args...)
	case "MGET", "HMGET":
		return goredis.NewSliceCmd(ctx, args...)
	case "LRANGE", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS", "BLPOP", "BRPOP", "KEYS":
		return goredis.NewStringSliceCmd(ctx, args...)
	case "HGETALL":
		return goredis.NewMapStringStringCmd(ctx, args...)
	case "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZPOPMIN", "ZPOPMAX":
		if withScores || strings.HasPrefix(name, "ZPOP") {
			return goredis.NewZSliceCmd(ctx, args...)
		}
		return goredis.NewStringSliceCmd(ctx, args...)
	case "BZPOPMIN", "BZPOPMAX":
		return goredis.NewZWithKeyCmd(ctx, args...)
	case "XRANGE", "XREVRANGE", "XCLAIM":
		return goredis.NewXMessageSliceCmd(ctx, args...)
	case "XREAD", "XREADGROUP":
		return goredis.NewXStreamSliceCmd(ctx, args...)
	case "XPENDING":
		if len(words) > 3 {
			return goredis.NewXPendingExtCmd(ctx, args...)
		}
		return goredis.NewXPendingCmd(ctx, args...)
	case "XAUTOCLAIM":
		return goredis.NewXAutoClaimCmd(ctx, args...)
	case "XINFO":
		if strings.EqualFold(words[1], "GROUPS") {
			return goredis.NewXInfoGroupsCmd(ctx, words[2])
		}
		return goredis.NewXInfoStreamCmd(ctx, words[2])
	case "GEOPOS":
		return goredis.NewGeoPosCmd(ctx, args...)
	}
	return goredis.NewCmd(ctx, args...)
}
