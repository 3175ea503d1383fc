package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// raftStreams is the network that raft's transport runs on: connections of
// the cluster port, encrypted, each with a known member at the other end.
type raftStreams struct {
	guard    *guard
	addr     raftAddr
	incoming chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

// raftAddr is the address that this member tells the others.
type raftAddr string

func (a raftAddr) Network() string { return "tcp" }
func (a raftAddr) String() string  { return string(a) }

func newRaftStreams(g *guard, advertised string) *raftStreams {
	return &raftStreams{guard: g, addr: raftAddr(advertised), incoming: make(chan net.Conn), closed: make(chan struct{})}
}

// serve gives raft a connection and returns when raft has closed it: the port
// owns it until then.
func (s *raftStreams) serve(conn *tls.Conn) {
	owned := &ownedConn{Conn: conn, done: make(chan struct{})}
	select {
	case s.incoming <- owned:
	case <-s.closed:
		return
	}
	select {
	case <-owned.done:
	case <-s.closed:
	}
}

// ownedConn tells when it was closed.
type ownedConn struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

func (c *ownedConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

// Accept is part of raft.StreamLayer.
func (s *raftStreams) Accept() (net.Conn, error) {
	select {
	case c := <-s.incoming:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close is part of raft.StreamLayer. The port itself stays open.
func (s *raftStreams) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Addr is part of raft.StreamLayer.
func (s *raftStreams) Addr() net.Addr { return s.addr }

// Dial is part of raft.StreamLayer. The address is that of the address book,
// "id@host:port", so that the peer must prove to be that member; without an
// id any member will do, raft's own terms protect it.
func (s *raftStreams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, addr, ok := strings.Cut(string(address), "@")
	if !ok {
		id, addr = "", string(address)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	select {
	case <-s.closed:
		return nil, errors.New("the member is stopping")
	default:
	}
	dial := func(ctx context.Context) (net.Conn, error) { return dialMember(ctx, s.guard, protoRaft, id, addr) }
	return newRenewed(ctx, dial, func() lifespan { return s.guard.ring.lifespan(s.guard.longest) })
}

// addressBook knows where members are. What a member says of itself counts
// more than the raft configuration, which may be about to follow.
type addressBook struct {
	mu        sync.RWMutex
	announced map[string]string
	told      map[string]string        // by others, of members that have not announced themselves
	known     func() map[string]string // by the raft configuration
}

func newAddressBook() *addressBook {
	return &addressBook{
		announced: map[string]string{},
		told:      map[string]string{},
		known:     func() map[string]string { return nil },
	}
}

// follow sets where to look for what nobody has announced.
func (b *addressBook) follow(known func() map[string]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = known
}

func (b *addressBook) announce(id, addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announced[id] = addr
}

// heard is what members have announced.
func (b *addressBook) heard() map[string]string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return maps.Clone(b.announced)
}

// tell notes where others say that a member is.
func (b *addressBook) tell(id, addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[id] = addr
}

// find gives a member's cluster address, "" if it is unknown.
func (b *addressBook) find(id string) string {
	b.mu.RLock()
	addr, known := cmp.Or(b.announced[id], b.told[id]), b.known
	b.mu.RUnlock()
	if addr == "" {
		addr = known()[id]
	}
	return addr
}

// ServerAddr is part of raft.ServerAddressProvider.
func (b *addressBook) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	addr := b.find(string(id))
	if addr == "" {
		return "", errors.New("the address of member " + string(id) + " is not known")
	}
	return raft.ServerAddress(string(id) + "@" + addr), nil
}
