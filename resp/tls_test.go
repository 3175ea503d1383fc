package resp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Clients come over TLS only, and waits, which read ahead under deadlines, do
// not harm their connections.
func TestClientsOverTLS(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate(t)}})
	srv := NewOn(secure, Config{}, newFakeStore(), nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve() }()
	t.Cleanup(func() {
		if err := srv.Close(t.Context()); err != nil {
			t.Log(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	connect := func() *testClient {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &testClient{t: t, conn: conn, r: bufio.NewReader(conn)}
	}

	c := connect()
	large := strings.Repeat("x", 1<<20)
	c.want("+OK", "SET", "k", large)
	c.want(`"`+large+`"`, "GET", "k")
	c.want("nil-array", "BLPOP", "q", "0.01")
	c.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")
	other := connect()
	other.want(":1", "PUBLISH", "c", "m")
	if got := c.read(); got != `["message" "c" "m"]` {
		t.Errorf("the subscriber got %s", got)
	}
	other.want("+OK", "QUIT")

	plain := dial(t, ln.Addr())
	plain.write(frame("PING"))
	_ = plain.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := plain.r.ReadByte(); err == nil && b == '+' {
		t.Error("a client without TLS is served")
	}
}
