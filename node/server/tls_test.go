package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// files are a certificate and its key as an operator has them.
type files struct {
	t         *testing.T
	cert, key string
}

func newFiles(t *testing.T) files {
	dir := t.TempDir()
	return files{t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// write makes a certificate for 127.0.0.1 and puts it into the files.
func (f files) write(serial int64, from, to time.Time) {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: from, NotAfter: to, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	f.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	f.must(err)
	f.put(f.cert, "CERTIFICATE", der)
	f.put(f.key, "PRIVATE KEY", keyDER)
	for _, name := range []string{f.cert, f.key} {
		// Even where files have coarse times, another certificate is another file.
		at := time.Unix(1_700_000_000+serial, 0)
		f.must(os.Chtimes(name, at, at))
	}
}

func (f files) put(name, kind string, der []byte) {
	f.t.Helper()
	f.must(os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (f files) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f files) good(serial int64) {
	f.write(serial, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

func (f files) pair() (*keyPair, error) {
	return newKeyPair("HTTP", f.cert, f.key, metrics.NewSet(), slog.New(slog.DiscardHandler))
}

// What cannot be served is refused with what is wrong and where.
func TestACertificateThatCannotBeUsedIsRefused(t *testing.T) {
	past, future := time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour)
	for name, c := range map[string]struct {
		spoil func(f files)
		want  string
	}{
		"no certificate file": {func(f files) { f.must(os.Remove(f.cert)) }, "the HTTP certificate: open "},
		"no key file":         {func(f files) { f.must(os.Remove(f.key)) }, "the key of the HTTP certificate: open "},
		"expired":             {func(f files) { f.write(1, past, past.Add(time.Hour)) }, "put another one there, or start without --http-tls-cert"},
		"not yet good":        {func(f files) { f.write(1, future, future.Add(time.Hour)) }, "this machine's clock says"},
		"no PEM":              {func(f files) { f.must(os.WriteFile(f.cert, []byte("x"), 0o600)) }, "holds no certificate in PEM form"},
		"an empty key":        {func(f files) { f.must(os.WriteFile(f.key, nil, 0o600)) }, "holds no key in PEM form"},
		"a protected key":     {func(f files) { f.put(f.key, "ENCRYPTED PRIVATE KEY", []byte{1}) }, "is protected by a password"},
		"mixed up": {func(f files) {
			f.must(os.Rename(f.cert, f.cert+"2"))
			f.must(os.Rename(f.key, f.cert))
			f.must(os.Rename(f.cert+"2", f.key))
		}, "the two files are mixed up"},
		"another's key": {func(f files) {
			cert, err := os.ReadFile(f.cert)
			f.must(err)
			f.good(2)
			f.must(os.WriteFile(f.cert, cert, 0o600))
		}, "does not fit the first certificate in"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			f.good(1)
			if _, err := f.pair(); err != nil {
				t.Fatalf("a good one is refused: %v", err)
			}
			c.spoil(f)
			if _, err := f.pair(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	if err := (Options{RESPCert: "x"}).CheckTLS(); err == nil || !strings.Contains(err.Error(), "--resp-tls-cert and --resp-tls-key go together") {
		t.Errorf("a certificate without a key: %v", err)
	}
}

// The certificate is exchanged while connections are open: those go on, new
// ones get the new one, and one that is broken is not used.
func TestACertificateIsExchangedUnderOpenConnections(t *testing.T) {
	f := newFiles(t)
	f.good(1)
	s := &server{metrics: metrics.NewSet(), log: slog.New(slog.DiscardHandler)}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	f.must(err)
	door, err := s.secure(plain, doorFiles{"HTTP", f.cert, f.key}, "http/1.1")
	f.must(err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })}
	go func() { _ = srv.Serve(door) }()
	t.Cleanup(func() { _ = srv.Close() })
	type client struct {
		conn *tls.Conn
		r    *bufio.Reader
	}
	connect := func() (client, int64) {
		conn, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		f.must(err)
		t.Cleanup(func() { _ = conn.Close() })
		return client{conn, bufio.NewReader(conn)}, conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	get := func(c client) {
		t.Helper()
		_, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		f.must(err)
		resp, err := http.ReadResponse(c.r, nil)
		f.must(err)
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
			t.Errorf("answered %q, %v", body, err)
		}
	}
	first, serial := connect()
	if get(first); serial != 1 {
		t.Errorf("the certificate has number %d", serial)
	}
	f.good(2)
	second, serial := connect()
	if get(second); serial != 2 {
		t.Errorf("after the exchange the certificate has number %d", serial)
	}
	get(first)

	f.must(os.WriteFile(f.cert, []byte("broken"), 0o600))
	third, serial := connect()
	if get(third); serial != 2 {
		t.Errorf("with a broken file the certificate has number %d", serial)
	}
	if n := s.keys[0].failures.Get(); n == 0 {
		t.Error("the failure was not counted")
	}
	get(first)

	// Files that look as before are read again when somebody says so.
	f.good(2)
	s.keys[0].look()
	f.good(3)
	for _, name := range []string{f.cert, f.key} {
		at := time.Unix(1_700_000_002, 0)
		f.must(os.Chtimes(name, at, at))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reload := make(chan struct{})
	s.o.Reload = reload
	s.watchKeys(ctx)
	reload <- struct{}{}
	reload <- struct{}{} // taken when the first one is done
	if _, serial := connect(); serial != 3 {
		t.Errorf("after the reload the certificate has number %d", serial)
	}

	// Who has typed http:// is told.
	conn, err := net.Dial("tcp", plain.Addr().String())
	f.must(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	f.must(err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	f.must(err)
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 400 || !strings.Contains(string(body), "https://") {
		t.Errorf("plain HTTP is answered %d %q", answer.StatusCode, body)
	}
	// Old versions of TLS are refused.
	if conn, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}
