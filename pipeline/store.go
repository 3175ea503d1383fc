package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// Store is what the pipeline needs of the node it runs on.
type Store interface {
	// Propose carries requests out on the group. When it returns, they are
	// durable and a View on this node sees them.
	Propose(ctx context.Context, reqs []command.Request) []command.Result
	// ReadIndex waits until this node's state holds everything that was
	// committed anywhere before the call.
	ReadIndex(ctx context.Context) error
	// View runs fn on this node's state at one instant. It is short.
	View(fn func(tx *keyspace.Tx) error) error
	// Watch calls fn, in order, after each applied batch with the keys that
	// got entries; nil: anything may have changed. fn must not block.
	Watch(fn func(touched []string)) (cancel func())
}

// proposeTimeout is how long the pipeline waits for one proposal.
const proposeTimeout = 10 * time.Second

// propose carries commands out, each as a request of its own, and gives one
// error for each.
func propose(ctx context.Context, store Store, commands []command.Args) []error {
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	reqs := make([]command.Request, len(commands))
	for i, args := range commands {
		reqs[i] = command.Request{Commands: []command.Args{args}}
	}
	errs := make([]error, len(commands))
	results := store.Propose(ctx, reqs)
	for i := range errs {
		errs[i] = outcome(commands[i], results, i)
	}
	return errs
}

func outcome(args command.Args, results []command.Result, i int) error {
	switch {
	case i >= len(results) || results[i].Err == nil && len(results[i].Replies) != 1:
		return fmt.Errorf("proposing %s: no result", args[0])
	case results[i].Err != nil:
		return fmt.Errorf("proposing %s: %w", args[0], results[i].Err)
	}
	if err := results[i].Replies[0].Err(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// siteOfEvents gives the site whose stream of events a key is; ok false: it
// is another key.
func siteOfEvents(key string) (site string, ok bool) {
	rest, ok := strings.CutPrefix(key, "site:")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, ":events")
}
