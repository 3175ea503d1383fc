package redis

import (
	"strings"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// EventClass is a set of kinds of events, as notify-keyspace-events chooses
// among them.
type EventClass uint32

const (
	EventGeneric  EventClass = 1 << iota // g: DEL, EXPIRE, RENAME …
	EventString                          // $
	EventList                            // l
	EventSet                             // s
	EventHash                            // h
	EventZSet                            // z
	EventExpired                         // x
	EventEvicted                         // e: never, nothing is evicted
	EventStream                          // t
	EventModule                          // d: commands of the domain
	EventNew                             // n
	EventMiss                            // m
	EventKeyspace                        // K: told under the key's name
	EventKeyevent                        // E: told under the event's name

	// EventAll is what the letter A stands for.
	EventAll = EventGeneric | EventString | EventList | EventSet | EventHash | EventZSet | EventExpired | EventEvicted | EventStream | EventModule
)

const eventLetters = "g$lshzxetdnmKE" // in order of the bits

// ParseEventClasses reads letters; ok is false if one is unknown.
func ParseEventClasses(letters string) (classes EventClass, ok bool) {
	for _, c := range []byte(letters) {
		if c == 'A' {
			classes |= EventAll
			continue
		}
		i := strings.IndexByte(eventLetters, c)
		if i < 0 {
			return 0, false
		}
		classes |= 1 << i
	}
	return classes, true
}

// String gives the letters as CONFIG GET writes them.
func (c EventClass) String() string {
	var b strings.Builder
	letters := "g$lshzxetdn"
	if c&EventAll == EventAll {
		b.WriteByte('A')
		letters = "" // as Redis has it, even if n is among them
	}
	for _, l := range letters + "KEm" {
		if c&(1<<strings.IndexRune(eventLetters, l)) != 0 {
			b.WriteRune(l)
		}
	}
	return b.String()
}

// Event is something that happened to a key, under the name that Redis gives
// it.
type Event struct {
	Class EventClass // one
	Name  string
	DB    uint8
	Key   string
}

// keyEffect is what a command did to one key in the end.
type keyEffect struct {
	db             uint8
	key            string
	expired        bool // what was there had expired
	existed        bool // when the command began to do anything
	exists         bool
	changed        bool // the value, not only a group of a stream
	consumer       bool // a consumer joined a group
	before, length int64
}

// keyEffects gives them in the order in which the keys were touched first.
func keyEffects(changes []keyspace.Change) []keyEffect {
	var all []keyEffect
	for i := range changes {
		c := &changes[i]
		if c.What == keyspace.Replaced {
			continue
		}
		at := -1
		for k := range all {
			if all[k].key == c.Key && all[k].db == c.DB {
				at = k
			}
		}
		if at < 0 {
			at = len(all)
			all = append(all, keyEffect{db: c.DB, key: c.Key, existed: c.What == keyspace.Changed || c.What == keyspace.Removed || c.What == keyspace.ConsumerMade,
				before: c.Before, exists: c.What == keyspace.ConsumerMade})
		}
		e := &all[at]
		switch c.What {
		case keyspace.Expired:
			e.expired, e.existed, e.exists, e.before = true, false, false, 0
		case keyspace.Removed:
			e.exists, e.changed, e.length = false, true, 0
		case keyspace.ConsumerMade:
			e.consumer = true
		default:
			e.exists, e.changed, e.length = true, true, c.After
		}
	}
	return all
}

// events collects what one command tells.
type events struct {
	args [][]byte
	all  []Event
}

func (v *events) tell(class EventClass, name string, e *keyEffect) {
	if Listed([]byte(e.key)) {
		v.all = append(v.all, Event{class, name, e.db, e.key})
	}
}

func (v *events) tellNew(e *keyEffect) {
	if !e.existed && e.exists {
		v.tell(EventNew, "new", e)
	}
}

func (v *events) tellGone(e *keyEffect) {
	if e.existed && !e.exists {
		v.tell(EventGeneric, "del", e)
	}
}

// Events gives the events of what a command did, as Redis 7.0 tells them, in
// its order. Of keys that SCAN does not list nothing is told. A command of the
// domain, or any other that is not known here, tells of each key under its own
// name.
func Events(effect *command.Effect) []Event {
	v := events{args: effect.Args}
	effects := keyEffects(effect.Changes)
	rule, known := eventRules[strings.ToUpper(string(effect.Args[0]))]
	if known && rule.all != nil {
		for i := range effects {
			if effects[i].expired {
				v.tell(EventExpired, "expired", &effects[i])
			}
		}
		rule.all(&v, effects)
		return v.all
	}
	for i := range effects {
		e := &effects[i]
		if e.expired {
			v.tell(EventExpired, "expired", e)
		}
		switch {
		case !known:
			if e.changed {
				v.tell(EventModule, strings.ToLower(string(effect.Args[0])), e)
			}
		case e.changed || e.consumer:
			rule.one(&v, e)
		}
	}
	return v.all
}

// eventRule says what a command tells: of each key it changed, or of all
// together.
type eventRule struct {
	one func(v *events, e *keyEffect)
	all func(v *events, effects []keyEffect)
}

// does is the rule of most commands: the event, and that the key is new or
// gone.
func does(class EventClass, name string) eventRule {
	return doesAs(class, func([][]byte) string { return name })
}

func doesAs(class EventClass, name func(args [][]byte) string) eventRule {
	return eventRule{one: func(v *events, e *keyEffect) {
		v.tellNew(e)
		if e.exists || e.existed {
			v.tell(class, name(v.args), e)
		}
		v.tellGone(e)
	}}
}

// stores is the rule of those that put a result under a key: nothing, if it is
// empty.
func stores(class EventClass, name string) eventRule {
	return eventRule{one: func(v *events, e *keyEffect) {
		v.tellNew(e)
		if e.exists {
			v.tell(class, name, e)
		}
		v.tellGone(e)
	}}
}

// places is stores where the key is made anew in any case.
func places(name string) eventRule {
	return eventRule{one: func(v *events, e *keyEffect) {
		if e.exists {
			v.tell(EventNew, "new", e)
			v.tell(EventGeneric, name, e)
		}
		v.tellGone(e)
	}}
}

// sets is the rule of SET and its kin; expires says whether there is an
// expiry.
func sets(expires func(args [][]byte) bool) eventRule {
	return eventRule{one: func(v *events, e *keyEffect) {
		v.tellNew(e)
		if e.exists {
			v.tell(EventString, "set", e)
			if expires(v.args) {
				v.tell(EventGeneric, "expire", e)
			}
		}
		v.tellGone(e)
	}}
}

func always([][]byte) bool { return true }
func never([][]byte) bool  { return false }

func hasExpiry(args [][]byte) bool { return hasWord(args, 3, "EX", "PX", "EXAT", "PXAT") }

// hasWord says whether one of some keywords is among the arguments from one on.
func hasWord(args [][]byte, from int, words ...string) bool {
	for i := from; i < len(args); i++ {
		for _, w := range words {
			if is(args[i], w) {
				return true
			}
		}
	}
	return false
}

// eventRules has all commands of Redis that change keys. FLUSHALL, FLUSHDB and
// SWAPDB tell nothing.
var eventRules = map[string]eventRule{
	"SET": sets(hasExpiry), "SETNX": sets(never), "GETSET": sets(never), "MSET": sets(never), "MSETNX": sets(never),
	"SETEX": sets(always), "PSETEX": sets(always),
	"SETRANGE": does(EventString, "setrange"), "APPEND": does(EventString, "append"),
	"INCR": does(EventString, "incrby"), "DECR": does(EventString, "incrby"), "INCRBY": does(EventString, "incrby"),
	"DECRBY": does(EventString, "incrby"), "INCRBYFLOAT": does(EventString, "incrbyfloat"),
	"SETBIT": does(EventString, "setbit"), "BITFIELD": does(EventString, "setbit"), "BITOP": stores(EventString, "set"),
	"PFADD": does(EventString, "pfadd"), "PFMERGE": does(EventString, "pfadd"),
	"GETDEL": stores(EventGeneric, "del"), "GETEX": {one: getexEvents},

	"DEL": stores(EventGeneric, "del"), "UNLINK": stores(EventGeneric, "del"),
	"EXPIRE": stores(EventGeneric, "expire"), "PEXPIRE": stores(EventGeneric, "expire"),
	"EXPIREAT": stores(EventGeneric, "expire"), "PEXPIREAT": stores(EventGeneric, "expire"), "PERSIST": stores(EventGeneric, "persist"),
	"RENAME": {all: renameEvents}, "RENAMENX": {all: renameEvents}, "MOVE": {all: moveEvents},
	"COPY": places("copy_to"), "RESTORE": places("restore"),
	"SORT": stores(EventList, "sortstore"),

	"HSET": does(EventHash, "hset"), "HMSET": does(EventHash, "hset"), "HSETNX": does(EventHash, "hset"),
	"HINCRBY": does(EventHash, "hincrby"), "HINCRBYFLOAT": does(EventHash, "hincrbyfloat"),
	"HDEL": does(EventHash, "hdel"), "HGETDEL": does(EventHash, "hdel"), "HPERSIST": does(EventHash, "hpersist"),
	"HEXPIRE": {one: hexpireEvents}, "HPEXPIRE": {one: hexpireEvents}, "HEXPIREAT": {one: hexpireEvents}, "HPEXPIREAT": {one: hexpireEvents},
	"HGETEX": {one: hexpireEvents}, "HSETEX": {one: hsetexEvents},

	"LPUSH": does(EventList, "lpush"), "LPUSHX": does(EventList, "lpush"), "RPUSH": does(EventList, "rpush"), "RPUSHX": does(EventList, "rpush"),
	"LPOP": does(EventList, "lpop"), "RPOP": does(EventList, "rpop"), "BLPOP": does(EventList, "lpop"), "BRPOP": does(EventList, "rpop"),
	"LMPOP": doesAs(EventList, mpopEvent), "BLMPOP": doesAs(EventList, mpopEvent),
	"LSET": does(EventList, "lset"), "LINSERT": does(EventList, "linsert"), "LREM": does(EventList, "lrem"), "LTRIM": does(EventList, "ltrim"),
	"LMOVE": {all: lmoveEvents}, "BLMOVE": {all: lmoveEvents}, "RPOPLPUSH": {all: lmoveEvents}, "BRPOPLPUSH": {all: lmoveEvents},

	"SADD": does(EventSet, "sadd"), "SREM": does(EventSet, "srem"), "SPOP": does(EventSet, "spop"), "SMOVE": {all: smoveEvents},
	"SINTERSTORE": stores(EventSet, "sinterstore"), "SUNIONSTORE": stores(EventSet, "sunionstore"), "SDIFFSTORE": stores(EventSet, "sdiffstore"),

	"ZADD": doesAs(EventZSet, zaddEvent), "ZINCRBY": does(EventZSet, "zincr"), "ZREM": does(EventZSet, "zrem"), "GEOADD": does(EventZSet, "zadd"),
	"ZREMRANGEBYRANK": does(EventZSet, "zremrangebyrank"), "ZREMRANGEBYSCORE": does(EventZSet, "zremrangebyscore"),
	"ZREMRANGEBYLEX": does(EventZSet, "zremrangebylex"),
	"ZPOPMIN":        does(EventZSet, "zpopmin"), "ZPOPMAX": does(EventZSet, "zpopmax"), "BZPOPMIN": does(EventZSet, "zpopmin"),
	"BZPOPMAX": does(EventZSet, "zpopmax"), "ZMPOP": doesAs(EventZSet, mpopEvent), "BZMPOP": doesAs(EventZSet, mpopEvent),
	"ZUNIONSTORE": stores(EventZSet, "zunionstore"), "ZINTERSTORE": stores(EventZSet, "zinterstore"), "ZDIFFSTORE": stores(EventZSet, "zdiffstore"),
	"ZRANGESTORE": stores(EventZSet, "zrangestore"), "GEOSEARCHSTORE": stores(EventZSet, "geosearchstore"),
	"GEORADIUS": stores(EventZSet, "georadiusstore"), "GEORADIUSBYMEMBER": stores(EventZSet, "georadiusstore"),

	"XADD": {one: xaddEvents}, "XDEL": does(EventStream, "xdel"), "XTRIM": does(EventStream, "xtrim"), "XSETID": does(EventStream, "xsetid"),
	"XGROUP":     doesAs(EventStream, func(args [][]byte) string { return "xgroup-" + strings.ToLower(string(args[1])) }),
	"XREADGROUP": {one: consumerEvents}, "XCLAIM": {one: consumerEvents}, "XAUTOCLAIM": {one: consumerEvents}, "XACK": {one: consumerEvents},

	"FLUSHALL": {one: nothing}, "FLUSHDB": {one: nothing}, "SWAPDB": {one: nothing},
}

// TellsEvents says whether it is known which events a command has.
func TellsEvents(name string) bool {
	_, ok := eventRules[name]
	return ok
}

func nothing(*events, *keyEffect) {}

func getexEvents(v *events, e *keyEffect) {
	switch {
	case !e.exists:
	case hasWord(v.args, 2, "PERSIST"):
		v.tell(EventGeneric, "persist", e)
	default:
		v.tell(EventGeneric, "expire", e)
	}
	v.tellGone(e)
}

// hexpireEvents: a field whose time has come already is deleted.
func hexpireEvents(v *events, e *keyEffect) {
	switch {
	case e.length < e.before:
		v.tell(EventHash, "hdel", e)
	case hasWord(v.args, 2, "PERSIST"):
		v.tell(EventHash, "hpersist", e)
	default:
		v.tell(EventHash, "hexpire", e)
	}
	v.tellGone(e)
}

func hsetexEvents(v *events, e *keyEffect) {
	v.tellNew(e)
	v.tell(EventHash, "hset", e)
	if e.exists && hasExpiry(v.args) {
		v.tell(EventHash, "hexpire", e)
	}
	v.tellGone(e)
}

// mpopEvent finds out which end LMPOP and its kin took from.
func mpopEvent(args [][]byte) string {
	for _, w := range []struct{ word, event string }{{"LEFT", "lpop"}, {"RIGHT", "rpop"}, {"MIN", "zpopmin"}, {"MAX", "zpopmax"}} {
		if len(args) > 3 && is(args[mpopEnd(args)], w.word) {
			return w.event
		}
	}
	return "lpop"
}

// mpopEnd gives the place of the argument after the keys of LMPOP n k… and
// BLMPOP timeout n k….
func mpopEnd(args [][]byte) int {
	at := 1
	if is(args[0][:1], "B") {
		at = 2
	}
	n, _ := parseInt(args[at])
	return min(at+1+int(n), len(args)-1)
}

func zaddEvent(args [][]byte) string {
	for i := 2; i < len(args); i++ {
		switch {
		case is(args[i], "INCR"):
			return "zincr"
		case !hasWord(args[i:i+1], 0, "NX", "XX", "GT", "LT", "CH"):
			return "zadd" // the scores begin
		}
	}
	return "zadd"
}

func xaddEvents(v *events, e *keyEffect) {
	v.tellNew(e)
	v.tell(EventStream, "xadd", e)
	if e.length < e.before+1 {
		v.tell(EventStream, "xtrim", e)
	}
}

func consumerEvents(v *events, e *keyEffect) {
	if e.consumer {
		v.tell(EventStream, "xgroup-createconsumer", e)
	}
}

// named gives what was done to a key, nil if nothing.
func named(effects []keyEffect, key []byte, skip *keyEffect) *keyEffect {
	for i := range effects {
		if effects[i].key == string(key) && effects[i].changed && &effects[i] != skip {
			return &effects[i]
		}
	}
	return nil
}

func renameEvents(v *events, effects []keyEffect) {
	from, to := named(effects, v.args[1], nil), named(effects, v.args[2], nil)
	if from == nil || to == nil {
		return
	}
	v.tell(EventNew, "new", to)
	v.tell(EventGeneric, "rename_from", from)
	v.tell(EventGeneric, "rename_to", to)
}

func moveEvents(v *events, effects []keyEffect) {
	for i := range effects {
		if to := &effects[i]; to.changed && to.exists {
			if from := named(effects, v.args[1], to); from != nil {
				v.tell(EventNew, "new", to)
				v.tell(EventGeneric, "move_from", from)
				v.tell(EventGeneric, "move_to", to)
			}
		}
	}
}

func lmoveEvents(v *events, effects []keyEffect) {
	from, to := named(effects, v.args[1], nil), named(effects, v.args[2], nil)
	if from == nil || to == nil {
		return
	}
	take, put := "rpop", "lpush"
	if len(v.args) > 4 {
		if is(v.args[3], "LEFT") {
			take = "lpop"
		}
		if is(v.args[4], "RIGHT") {
			put = "rpush"
		}
	}
	if from != to {
		v.tellNew(to)
	}
	v.tell(EventList, put, to)
	v.tell(EventList, take, from)
	v.tellGone(from)
}

func smoveEvents(v *events, effects []keyEffect) {
	from, to := named(effects, v.args[1], nil), named(effects, v.args[2], nil)
	if from == nil || from == to {
		return
	}
	v.tell(EventSet, "srem", from)
	v.tellGone(from)
	if to != nil {
		v.tellNew(to)
		v.tell(EventSet, "sadd", to)
	}
}
