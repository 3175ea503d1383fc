package resp

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// NewTLSListener lets clients in over TLS 1.2 or later only, with the
// certificate and key of two PEM files. When the files change, connections
// that come after use what is in them; if that cannot be used, what was. log
// may be nil.
func NewTLSListener(ln net.Listener, certFile, keyFile string, log *slog.Logger) (net.Listener, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &keyPair{certFile: certFile, keyFile: keyFile, log: log}
	if err := p.load(); err != nil {
		return nil, err
	}
	return tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.get}), nil
}

// keyPair is a certificate in files that somebody else renews.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	seen   [2]fileState // when it was last tried
}

// fileState tells whether a file is another than before.
type fileState struct {
	modified time.Time
	size     int64
}

func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.states() != p.seen {
		if err := p.loadLocked(); err != nil {
			p.log.Error("the RESP certificate has changed and cannot be used, the one before goes on", "err", err)
		}
	}
	return p.loaded, nil
}

func (p *keyPair) load() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loadLocked()
}

func (p *keyPair) loadLocked() error {
	p.seen = p.states()
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("loading the RESP certificate from %s and %s: %w", p.certFile, p.keyFile, err)
	}
	p.loaded = &pair
	return nil
}

func (p *keyPair) states() (s [2]fileState) {
	for i, name := range []string{p.certFile, p.keyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return s
}
