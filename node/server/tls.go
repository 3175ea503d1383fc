package server

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// The certificates of the front doors are files of the operator's, which
// somebody else renews. They are read again when they change: looked at with
// every handshake, twice a minute, and at once when Reload says so. What
// cannot be used is refused, and the certificate before goes on.

const (
	lookEvery  = 30 * time.Second
	warnBefore = 14 * 24 * time.Hour // of the end of a certificate
	warnEvery  = 24 * time.Hour
)

// keyPair is the certificate of a door and its key.
type keyPair struct {
	door, certFlag    string // what it is for, and the flag that names it
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time
	failures          *metrics.Counter

	mu     sync.Mutex
	loaded *tls.Certificate
	seen   [2]fileState // when it was last tried
	warned time.Time
}

// fileState tells whether a file is another than before.
type fileState struct {
	modified time.Time
	size     int64
}

// newKeyPair loads a certificate. The error says which file is wrong, how, and
// what to do.
func newKeyPair(door, certFile, keyFile string, set *metrics.Set, log *slog.Logger) (*keyPair, error) {
	use := strings.ToLower(door)
	p := &keyPair{
		door: door, certFlag: "--" + use + "-tls-cert", certFile: certFile, keyFile: keyFile, log: log, now: time.Now,
		failures: set.GetOrCreateCounter(fmt.Sprintf("parlor_certificate_reload_failures_total{use=%q}", use)),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.load(); err != nil {
		return nil, err
	}
	set.GetOrCreateGauge(fmt.Sprintf("parlor_certificate_expiry_timestamp_seconds{use=%q}", use), func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return float64(p.loaded.Leaf.NotAfter.Unix())
	})
	return p, nil
}

// config is for servers whose clients speak one of protos, if there are any.
func (p *keyPair) config(protos ...string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.get, NextProtos: protos}
}

func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(false)
	return p.loaded, nil
}

// reload reads the files again even if they look as before.
func (p *keyPair) reload() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(true)
}

// refresh loads what has changed; the lock is held.
func (p *keyPair) refresh(always bool) {
	if !always && p.states() == p.seen {
		return
	}
	before := p.loaded
	if err := p.load(); err != nil {
		p.failures.Inc()
		p.log.Error("the new certificate cannot be used, the one before goes on", "door", p.door, "until", p.loaded.Leaf.NotAfter.UTC().Format(time.RFC3339), "err", err)
		return
	}
	if !p.loaded.Leaf.Equal(before.Leaf) {
		p.log.Info("another certificate is used for new connections", "door", p.door, "until", p.loaded.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}

// watch looks after the files until ctx ends.
func (p *keyPair) watch(ctx context.Context) {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	for {
		p.look()
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *keyPair) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh(false)
	now, end := p.now(), p.loaded.Leaf.NotAfter
	if end.Sub(now) > warnBefore || now.Sub(p.warned) < warnEvery {
		return
	}
	p.warned = now
	p.log.Warn("a certificate ends soon: put another one into its files", "door", p.door, "file", p.certFile, "until", end.UTC().Format(time.RFC3339))
}

// load reads the files; the lock is held.
func (p *keyPair) load() error {
	p.seen = p.states()
	cert, err := readPEM(p.certFile)
	if err != nil {
		return fmt.Errorf("the %s certificate: %w", p.door, err)
	}
	key, err := readPEM(p.keyFile)
	if err != nil {
		return fmt.Errorf("the key of the %s certificate: %w", p.door, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("the %s certificate: %w", p.door, explainPair(err, p.certFile, p.keyFile, cert, key))
	}
	if now := p.now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		return fmt.Errorf("the %s certificate in %s is good from %s to %s only, and this machine's clock says %s: put another one there, or start without %s",
			p.door, p.certFile, pair.Leaf.NotBefore.UTC().Format(time.RFC3339), pair.Leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), p.certFlag)
	}
	p.loaded = &pair
	return nil
}

func readPEM(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: the user that runs this process (id %d) must be able to read it", err, os.Getuid())
	case err != nil:
		return nil, err
	}
	return content, nil
}

// explainPair says what is wrong with a certificate and a key that do not go
// together.
func explainPair(err error, certFile, keyFile string, cert, key []byte) error {
	certs, keys := blockTypes(cert), blockTypes(key)
	switch {
	case !certs["CERTIFICATE"] && len(certs) > 0 && keys["CERTIFICATE"]:
		return fmt.Errorf("%s holds no certificate but %s does: the two files are mixed up", certFile, keyFile)
	case !certs["CERTIFICATE"]:
		return fmt.Errorf("%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", certFile)
	case keys["ENCRYPTED PRIVATE KEY"] || strings.Contains(string(key), "Proc-Type: 4,ENCRYPTED"):
		return fmt.Errorf("the key in %s is protected by a password: a server that starts by itself needs one that is not (openssl pkey -in … -out …)", keyFile)
	case len(keys) == 0:
		return fmt.Errorf("%s holds no key in PEM form (-----BEGIN PRIVATE KEY-----)", keyFile)
	case strings.Contains(err.Error(), "does not match"):
		return fmt.Errorf("the key in %s does not fit the first certificate in %s, which must be the server's own; those that vouch for it come after (%w)", keyFile, certFile, err)
	}
	return fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
}

func blockTypes(text []byte) map[string]bool {
	types := map[string]bool{}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return types
		}
		types[b.Type] = true
	}
}

func (p *keyPair) states() (s [2]fileState) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return s
}

// CheckTLS says what is wrong with the certificates that options name, without
// serving.
func (o Options) CheckTLS() error {
	for _, d := range o.doorFiles() {
		if d.cert == "" && d.key == "" {
			continue
		}
		if d.cert == "" || d.key == "" {
			return fmt.Errorf("%[1]s-tls-cert and %[1]s-tls-key go together", "--"+strings.ToLower(d.door))
		}
		if _, err := newKeyPair(d.door, d.cert, d.key, metrics.NewSet(), slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
	}
	return nil
}

type doorFiles struct{ door, cert, key string }

func (o Options) doorFiles() []doorFiles {
	return []doorFiles{{"HTTP", o.HTTPCert, o.HTTPKey}, {"RESP", o.RESPCert, o.RESPKey}}
}

// secure puts TLS on a door that has a certificate.
func (s *server) secure(door net.Listener, f doorFiles, protos ...string) (net.Listener, error) {
	if f.cert == "" && f.key == "" {
		return door, nil
	}
	p, err := newKeyPair(f.door, f.cert, f.key, s.metrics, s.log)
	if err != nil {
		return nil, err
	}
	s.keys = append(s.keys, p)
	return &tlsDoor{Listener: door, config: p.config(protos...), plainHTTP: f.door == "HTTP"}, nil
}

// tlsDoor is a listener whose connections speak TLS.
type tlsDoor struct {
	net.Listener
	config    *tls.Config
	plainHTTP bool // who comes with plain HTTP is told
}

func (d *tlsDoor) Accept() (net.Conn, error) {
	raw, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := tls.Server(raw, d.config)
	if d.plainHTTP {
		return &httpsConn{Conn: conn}, nil
	}
	return conn, nil
}

// httpsConn answers who has typed http:// for https://.
type httpsConn struct{ *tls.Conn }

const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 54\r\n\r\n" +
	"This port speaks HTTPS: use https:// in the address.\r\n"

func (c *httpsConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if plain := (tls.RecordHeaderError{}); errors.As(err, &plain) && plain.Conn != nil && looksHTTP(plain.RecordHeader) {
		_ = plain.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = plain.Conn.Write([]byte(plainAnswer)) // who has gone does not need it
	}
	return n, err
}

// looksHTTP says whether a connection begins as a request of plain HTTP does.
func looksHTTP(head [5]byte) bool {
	switch string(head[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

var _ interface{ ConnectionState() tls.ConnectionState } = (*httpsConn)(nil)
