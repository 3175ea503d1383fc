package resp

import (
	"net"
	"time"
)

// Config says how a Server behaves. The zero value of a field stands for its
// default, unless the comment says otherwise.
type Config struct {
	// Addr is where to listen, host:port. Default 127.0.0.1:6380. Without a
	// Password, clients on other machines are refused whatever Addr is.
	Addr string
	// Password is what AUTH must give for the user "default". Empty: none is
	// asked for.
	Password string
	// MaxClients is how many connections are served at once. Default 10000.
	MaxClients int
	// Crowded says that there is no room for a client who just came, though
	// there are fewer. Default: there is.
	Crowded func(net.Conn) bool
	// IdleTimeout closes a connection that has sent nothing for so long.
	// 0: never.
	IdleTimeout time.Duration
	// AuthTimeout closes a connection that has not given its password by
	// then. Default 60 s.
	AuthTimeout time.Duration
	// CommandTimeout is how long the bytes of one command may take, from the
	// first to the last. Default 60 s.
	CommandTimeout time.Duration
	// WriteTimeout closes a connection whose client took nothing of what it
	// was sent for so long. Default 30 s.
	WriteTimeout time.Duration
	// RequestTimeout bounds how long a command waits for the group to commit
	// it or to confirm a read. Default 10 s.
	RequestTimeout time.Duration
	// MaxElements is how many arguments a command may have. Default 65536, at
	// most 1048576.
	MaxElements int
	// MaxBulk is how many bytes an argument may have. Default 16 MiB.
	MaxBulk int
	// MaxInline is how many bytes a command typed as a line may have. Default
	// 64 KiB.
	MaxInline int
	// MaxCommand is how many bytes the arguments of a command may have
	// together. Default 64 MiB.
	MaxCommand int
	// OutputLimit is how many bytes of replies may wait for a client before
	// no more of its commands are read. Default 64 MiB.
	OutputLimit int
	// PubsubLimit is how many bytes may wait for a subscriber; one that does
	// not read so much is dropped. Default 32 MiB. PubsubSoftLimit is how many
	// may wait for longer than PubsubSoftTime. Default 8 MiB and 60 s.
	PubsubLimit     int
	PubsubSoftLimit int
	PubsubSoftTime  time.Duration
	// QueuedCommands is how many commands MULTI may queue, and QueuedBytes
	// how many bytes they may have. Default 65536 and 64 MiB.
	QueuedCommands int
	QueuedBytes    int
	// SlowlogThreshold is how long a command must take to be kept in SLOWLOG.
	// Default 10 ms; negative: none is kept.
	SlowlogThreshold time.Duration
	// SlowlogLength is how many commands SLOWLOG keeps. Default 128.
	SlowlogLength int
	// KeepAlive is how long a connection may be silent before the system asks
	// whether the client is still there. Default 60 s; negative: never.
	KeepAlive time.Duration
	// ClientMemory is how many bytes the connections may use together, for
	// replies that wait, commands that come in, and MULTI, before those that
	// use most are ended. Default 1 GiB; negative: any.
	ClientMemory int64
	// Debug allows the harmless subcommands of DEBUG, for test suites.
	Debug bool
	// Version is the version of the product, for INFO.
	Version string
	// Status tells the state of the node and its group, for INFO and WAIT. It
	// is called once a command. Nil: nothing is told of the group.
	Status func() Status
}

// Status is the state of the node that INFO shows.
type Status struct {
	NodeID    string
	Role      string // leader, follower, candidate
	Leader    string // id of the leader; empty: none is known
	Term      uint64
	Commit    uint64 // highest index known to be committed
	Applied   uint64 // highest index in this node's state
	StateHash string // over all rows, in hexadecimal
	Epoch     string // of the group
	Members   int    // nodes in the group
	DiskBytes int64  // size of the data on disk
	Expired   int64  // keys that this node's state machine has removed since the start because their time had come
}

const (
	maxElements = 1 << 20

	// preAuthOutput is how many bytes of replies may wait for a client that
	// has not given its password.
	preAuthOutput = 64 << 10
)

func (c Config) withDefaults() Config {
	setDefault(&c.Addr, "127.0.0.1:6380")
	setDefault(&c.MaxClients, 10000)
	if c.Crowded == nil {
		c.Crowded = func(net.Conn) bool { return false }
	}
	setDefault(&c.AuthTimeout, time.Minute)
	setDefault(&c.CommandTimeout, time.Minute)
	setDefault(&c.WriteTimeout, 30*time.Second)
	setDefault(&c.RequestTimeout, 10*time.Second)
	setDefault(&c.MaxElements, 65536)
	c.MaxElements = min(c.MaxElements, maxElements)
	setDefault(&c.MaxBulk, 16<<20)
	setDefault(&c.MaxInline, 64<<10)
	setDefault(&c.MaxCommand, 64<<20)
	setDefault(&c.OutputLimit, 64<<20)
	setDefault(&c.PubsubLimit, 32<<20)
	setDefault(&c.PubsubSoftLimit, 8<<20)
	setDefault(&c.PubsubSoftTime, time.Minute)
	setDefault(&c.QueuedCommands, 65536)
	setDefault(&c.QueuedBytes, 64<<20)
	setDefault(&c.SlowlogThreshold, 10*time.Millisecond)
	setDefault(&c.SlowlogLength, 128)
	setDefault(&c.KeepAlive, time.Minute)
	c.KeepAlive = max(c.KeepAlive, 0)
	setDefault(&c.ClientMemory, 1<<30)
	setDefault(&c.Version, "dev")
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Notices gives sentences that an operator should read at start: what about
// the configuration is open or refuses clients.
func (c Config) Notices() []string {
	c = c.withDefaults()
	if c.Password != "" {
		return nil
	}
	if listensOnLoopback(c.Addr) {
		return []string{"RESP on " + c.Addr + " asks for no password: every program on this machine can read and write"}
	}
	return []string{"RESP listens on " + c.Addr + " without a password: clients on other machines are refused with -DENIED, or must log in as ACL users; set a password to let them in"}
}

// frameLimits are the limits for clients that are authenticated.
func (c Config) frameLimits() FrameLimits {
	return FrameLimits{Elements: c.MaxElements, Bulk: c.MaxBulk, Inline: c.MaxInline, Command: c.MaxCommand}
}

// listensOnLoopback says whether only programs on this machine can reach
// addr.
func listensOnLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// isLocal says whether a client is on this machine.
func isLocal(addr net.Addr) bool {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
