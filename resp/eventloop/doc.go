// Package eventloop serves many sockets with few threads.
//
// With a goroutine for each connection, a short command costs, besides the
// read and the write, a read that finds nothing, a way through the runtime's
// poller and a switch. Here one goroutine waits for the input of many
// connections, and what a connection has asked for is answered right there, if
// that does not have to wait. Whoever does have to wait takes the connection
// over and uses it as any other net.Conn.
//
// At any time a connection has an owner, or it rests. The owner gives it up
// with Rest; when input comes to a connection that rests, the loop calls the
// function that Serve was given, which owns it from then on. That function must
// not wait for anything: all connections of the loop would.
//
// The package knows sockets, and nothing of what is said on them. It works on
// Linux; elsewhere New fails with errors.ErrUnsupported.
package eventloop

import "errors"

// ErrAgain is what TryRead fails with when there is nothing to read yet.
var ErrAgain = errors.New("no input yet")
