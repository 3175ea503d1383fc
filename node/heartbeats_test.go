package node

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// beat is a transport to which a heartbeat comes.
type beat struct {
	transport
	handle func(raft.RPC)
}

func (b *beat) SetHeartbeatHandler(handle func(raft.RPC)) { b.handle = handle }
func (b *beat) Close() error                              { return nil }

func TestNoHeartbeatIsHandledAfterTheEnd(t *testing.T) {
	wire := &beat{}
	trans := newRaftTransport(func() error { return nil }, func(raft.ServerID) error { return nil }, wire)
	handling, goOn, handled := make(chan bool), make(chan bool), 0
	trans.SetHeartbeatHandler(func(rpc raft.RPC) {
		handling <- true
		<-goOn
		handled++ // writes to files that are closed after the transport
		rpc.Respond(nil, nil)
	})
	answers := make(chan raft.RPCResponse, 1)
	go wire.handle(raft.RPC{RespChan: answers})
	<-handling
	closed := make(chan bool)
	go func() {
		must(t, trans.Close())
		if handled != 1 {
			t.Error("it did not wait for a heartbeat that was being handled")
		}
		close(closed)
	}()
	close(goOn)
	<-closed
	<-answers
	wire.handle(raft.RPC{RespChan: answers})
	if a := <-answers; !errors.Is(a.Error, raft.ErrTransportShutdown) || handled != 1 {
		t.Errorf("after the end a heartbeat was answered %v, %d were handled", a.Error, handled)
	}
}
