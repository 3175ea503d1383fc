package resp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a certificate for 127.0.0.1 and puts it into files.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		// Even where files have coarse times, another certificate is another file.
		at := time.Unix(1_700_000_000+serial, 0)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// Clients come over TLS only, a renewed certificate is used without a
// restart, and one that is broken is not.
func TestClientsOverTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := NewTLSListener(ln, certFile, keyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
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
	connect := func() (*testClient, int64) {
		conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &testClient{t: t, conn: conn, r: bufio.NewReader(conn)}, conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}

	c, serial := connect()
	if serial != 1 {
		t.Errorf("the certificate has number %d", serial)
	}
	large := strings.Repeat("x", 1<<20)
	c.want("+OK", "SET", "k", large)
	c.want(`"`+large+`"`, "GET", "k")
	// A wait reads ahead under deadlines; the connection goes on after it.
	c.want("nil-array", "BLPOP", "q", "0.01")
	c.want(`["subscribe" "c" :1]`, "SUBSCRIBE", "c")

	writeCertificate(t, certFile, keyFile, 2)
	other, serial := connect()
	if serial != 2 {
		t.Errorf("after the renewal the certificate has number %d", serial)
	}
	other.want(":1", "PUBLISH", "c", "m")
	if got := c.read(); got != `["message" "c" "m"]` {
		t.Errorf("the subscriber got %s", got)
	}
	if err := os.WriteFile(certFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	last, serial := connect()
	if serial != 2 {
		t.Errorf("with a broken file the certificate has number %d", serial)
	}
	last.want("+OK", "QUIT")

	plain := dial(t, ln.Addr())
	plain.write(frame("PING"))
	_ = plain.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := plain.r.ReadByte(); err == nil && b == '+' {
		t.Error("a client without TLS is served")
	}
	if _, err := NewTLSListener(ln, certFile, keyFile, nil); err == nil {
		t.Error("a server starts with a broken certificate")
	}
}
