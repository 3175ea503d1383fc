package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Module is a kind of consumer: webhooks, a bot, a mailer.
type Module interface {
	// Name is what the names of its consumers begin with, before a dot:
	// "webhook" for "webhook.crm". A cursor with such a name that belongs to
	// none of its consumers is dropped.
	Name() string
	// Consumers gives the consumers that a site has now. It is called inside
	// a View when the site's config may have changed: it must be quick and
	// must not keep tx.
	Consumers(tx *keyspace.Tx, site core.Site) ([]Consumer, error)
}

// Consumer is one receiver of a site's events.
type Consumer struct {
	// Name is the name of its durable cursor, unique in the site.
	Name string
	// Version stands for its settings. When it changes, the consumer is
	// stopped and started again with the new ones, from its cursor.
	Version string
	// Wants says which events it is to handle; the others are passed over.
	Wants func(e *core.Event) bool
	// Begins recognises the event that the consumer came with: one without a
	// cursor begins after it. Nil, or if it is not found: at the end of the
	// stream.
	Begins func(e *core.Event) bool
	// Concurrency is how many events, of different lanes, it handles at a
	// time; 0 stands for 1.
	Concurrency int
	Handler     Handler
}

// Handler does something about an event.
type Handler interface {
	// Handle returns nil when the event is done with. After any other error
	// the same event is handled again later, before any other of its lane;
	// RetryAfter and Permanent say more. It may be called again for an event
	// that it has done with, and must end soon after ctx does. e must not be
	// modified.
	Handle(ctx context.Context, e *core.Event) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, e *core.Event) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, e *core.Event) error { return f(ctx, e) }

type retryAfterError struct {
	error
	pause time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// RetryAfter is a failure after which the whole consumer is to be left alone
// for a while, at most a day.
func RetryAfter(err error, pause time.Duration) error {
	return &retryAfterError{err, min(pause, 24*time.Hour)}
}

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// Permanent is a failure that trying again will not mend: the event becomes a
// dead letter at once. It says nothing about other events.
func Permanent(err error) error { return &permanentError{err} }

func isPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

func pauseOf(err error) time.Duration {
	var r *retryAfterError
	if errors.As(err, &r) {
		return r.pause
	}
	return 0
}

// LaneOf gives the lane of an event: events of the same lane are handled one
// after another. What concerns a visitor, his chats and their messages are in
// his lane.
func LaneOf(e *core.Event) string {
	switch {
	case e.Visitor != "":
		return "visitor:" + e.Visitor
	case e.Chat != "":
		return "chat:" + e.Chat
	case e.Agent != "":
		return "agent:" + e.Agent
	case e.Department != "":
		return "department:" + e.Department
	}
	return "site"
}
