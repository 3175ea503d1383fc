// Package pipeline is what happens after a change: it hands the events of
// every site to consumers, such as a webhook endpoint, each from a place of
// its own that survives restarts and changes of the leader.
//
// A Module says which consumers a site has; the Runner, which runs on the
// leader, reads the site's stream of events for each of them, calls its
// Handler at least once for every event it wants, in order for each visitor,
// tries again with growing pauses, and keeps what it gives up on as a dead
// letter. DESIGN.md says what is guaranteed and what is not.
//
// The package knows no HTTP and no raft; a handler knows nothing of retries,
// order or cursors.
package pipeline
