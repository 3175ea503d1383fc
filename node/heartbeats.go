package node

import "github.com/hashicorp/raft"

// raft handles a heartbeat on the goroutine of its connection, which nobody
// waits for. One that brings a new term is written to the log's files; if they
// were closed meanwhile, raft panics. So none is handled after Close.

// SetHeartbeatHandler is part of raft.Transport.
func (t *raftTransport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.transport.SetHeartbeatHandler(func(rpc raft.RPC) {
		t.beats.RLock()
		defer t.beats.RUnlock()
		if t.hasEnded() {
			rpc.Respond(nil, raft.ErrTransportShutdown)
			return
		}
		handle(rpc)
	})
}

// Close is part of raft.WithClose. It waits for heartbeats that are being
// handled.
func (t *raftTransport) Close() error {
	t.beats.Lock()
	if !t.hasEnded() {
		close(t.ended)
	}
	t.beats.Unlock()
	return t.transport.Close()
}

func (t *raftTransport) hasEnded() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}
