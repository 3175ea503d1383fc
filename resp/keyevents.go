package resp

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
	"github.com/parlorchat/parlor/storage/redis"
)

// keyEvents publishes what happens to keys to the subscribers of this node, as
// notify-keyspace-events asks for. They come from the log that every node
// carries out, so each tells its own; what a node did not carry out itself,
// because it took a state over from another, it does not tell.
type keyEvents struct {
	server  *Server
	classes atomic.Uint32 // redis.EventClass; 0: nothing is told

	mu       sync.Mutex
	unfollow func()
}

func (k *keyEvents) chosen() redis.EventClass { return redis.EventClass(k.classes.Load()) }

// choose changes what is told, from the next entry of the log on.
func (k *keyEvents) choose(classes redis.EventClass) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if classes&(redis.EventKeyspace|redis.EventKeyevent) == 0 || classes&^(redis.EventKeyspace|redis.EventKeyevent) == 0 {
		k.classes.Store(uint32(classes))
		k.stopLocked()
		return
	}
	k.classes.Store(uint32(classes))
	if k.unfollow == nil {
		k.unfollow = k.server.store.Effects(k.happened)
	}
}

func (k *keyEvents) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopLocked()
}

func (k *keyEvents) stopLocked() {
	if k.unfollow != nil {
		k.unfollow()
		k.unfollow = nil
	}
}

// happened hears what an entry of the log did.
func (k *keyEvents) happened(_ uint64, effects []command.Effect) {
	classes := k.chosen()
	var t hearers
	defer t.flush()
	for i := range effects {
		for _, e := range redis.Events(&effects[i]) {
			k.publish(classes, e, &t)
		}
	}
}

func (k *keyEvents) publish(classes redis.EventClass, e redis.Event, t *hearers) {
	if classes&e.Class == 0 {
		return
	}
	db := strconv.Itoa(int(e.DB))
	if classes&redis.EventKeyspace != 0 {
		k.server.pubsub.deliver(byChannel, []byte("__keyspace@"+db+"__:"+e.Key), []byte(e.Name), t)
	}
	if classes&redis.EventKeyevent != 0 {
		k.server.pubsub.deliver(byChannel, []byte("__keyevent@"+db+"__:"+e.Name), []byte(e.Key), t)
	}
}

// missed tells that a read named keys that do not exist.
func (k *keyEvents) missed(tx *keyspace.Tx, it *item) {
	classes := k.chosen()
	if classes&redis.EventMiss == 0 {
		return
	}
	var t hearers
	defer t.flush()
	for _, key := range it.entry.keys(it.args) {
		if tx.Type(key) == keyspace.None {
			k.publish(classes, redis.Event{Class: redis.EventMiss, Name: "keymiss", DB: tx.DB(), Key: string(key)}, &t)
		}
	}
}

func (s *Server) keyEventClasses() parameter {
	return parameter{
		name: "notify-keyspace-events",
		get:  func() string { return s.events.chosen().String() },
		set: func(value string) (func(), error) {
			classes, ok := redis.ParseEventClasses(value)
			if !ok {
				return nil, settingError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
			}
			return func() { s.events.choose(classes) }, nil
		},
	}
}
