package resp

import "testing"

func TestClientSetsAndGets(t *testing.T) {
	srv := startServer(t, Config{}, newFakeStore())
	c := dial(t, srv.Addr())
	c.want("+PONG", "PING")
	c.want("+OK", "SET", "k", "v")
	c.want(`"v"`, "GET", "k")
	c.want("nil", "GET", "none")
	c.want("+OK", "QUIT")
	c.wantClosed()
}
