package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// What a member proves itself with is in the folder pki of its data folder:
//
//	ca.crt    the authorities that it trusts, PEM; the line before says as of which revision of the group's
//	node.pem  its certificate and its key, in one file so that they are replaced together
//
// Data folders of the first versions have node.crt and node.key instead of node.pem.
const (
	trustFile    = "ca.crt"
	memberFile   = "node.pem"
	revisionLine = "Parlor authorities, revision "
)

// credentials are a member's certificate, its key and whom it trusts. They are
// never changed, only replaced.
type credentials struct {
	revision uint64              // of the group's authorities that trusted is as of
	trusted  []*x509.Certificate // authorities
	pool     *x509.CertPool      // the same
	cert     tls.Certificate     // with the authority's behind it, for those who pin that
	issuer   *x509.Certificate   // the one of trusted that has signed cert; nil if none has
}

// newCredentials puts them together. cert must have its Leaf.
func newCredentials(revision uint64, trusted []*x509.Certificate, cert tls.Certificate) *credentials {
	c := &credentials{revision: revision, trusted: trusted, pool: x509.NewCertPool(), cert: cert}
	for _, ca := range trusted {
		c.pool.AddCert(ca)
		if c.issuer == nil && cert.Leaf.CheckSignatureFrom(ca) == nil {
			c.issuer = ca
		}
	}
	c.cert.Certificate = cert.Certificate[:1:1]
	if c.issuer != nil {
		c.cert.Certificate = append(c.cert.Certificate, c.issuer.Raw)
	}
	return c
}

// trusts says whether an authority is among the trusted ones.
func (c *credentials) trusts(fp string) bool {
	for _, ca := range c.trusted {
		if fingerprint(ca.Raw) == fp {
			return true
		}
	}
	return false
}

// issuedBy is the fingerprint of the authority that has signed the
// certificate, "" if it is none that is trusted.
func (c *credentials) issuedBy() string {
	if c.issuer == nil {
		return ""
	}
	return fingerprint(c.issuer.Raw)
}

func memberKeyPair(certDER []byte, key *ecdsa.PrivateKey) (tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(certDER)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the member's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{certDER}, PrivateKey: key, Leaf: leaf}, nil
}

func parseCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	out := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		var err error
		if out[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("reading an authority's certificate: %w", err)
		}
	}
	return out, nil
}

// store writes the credentials to the data folder. Each file is replaced in
// one step, and trust comes first: a crash between the two leaves a member that
// works as before.
func (c *credentials) store(dir string) error {
	folder := filepath.Join(dir, pkiFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", folder, err)
	}
	var trust bytes.Buffer
	fmt.Fprintf(&trust, "%s%d\n", revisionLine, c.revision)
	for _, ca := range c.trusted {
		trust.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	}
	if err := writeFile(filepath.Join(folder, trustFile), trust.Bytes(), 0o600); err != nil {
		return err
	}
	key, ok := c.cert.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return errors.New("the member's key is of a kind that is not kept")
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the member's key: %w", err)
	}
	member := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Certificate[0]})
	member = append(member, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})...)
	if err := writeFile(filepath.Join(folder, memberFile), member, 0o600); err != nil {
		return err
	}
	for _, old := range []string{"node.crt", "node.key"} { // of the first versions
		if err := os.Remove(filepath.Join(folder, old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a certificate that was replaced: %w", err)
		}
	}
	return nil
}

func loadCredentials(dir string) (*credentials, error) {
	folder := filepath.Join(dir, pkiFolder)
	trust, err := os.ReadFile(filepath.Join(folder, trustFile))
	if err != nil {
		return nil, fail(CodeDamaged, "the group's certificate cannot be read: "+err.Error())
	}
	revision, trusted, err := parseTrust(trust)
	if err != nil {
		return nil, fail(CodeDamaged, filepath.Join(folder, trustFile)+": "+err.Error())
	}
	certFile, keyFile := filepath.Join(folder, memberFile), filepath.Join(folder, memberFile)
	if _, err := os.Stat(certFile); errors.Is(err, fs.ErrNotExist) {
		certFile, keyFile = filepath.Join(folder, "node.crt"), filepath.Join(folder, "node.key")
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fail(CodeDamaged, "the member's certificate cannot be read: "+err.Error())
	}
	return newCredentials(revision, trusted, cert), nil
}

// parseTrust reads what store has written.
func parseTrust(text []byte) (revision uint64, trusted []*x509.Certificate, err error) {
	if bytes.HasPrefix(text, []byte(revisionLine)) {
		if _, err := fmt.Sscanf(string(text), revisionLine+"%d\n", &revision); err != nil {
			return 0, nil, fmt.Errorf("its first line is not understood: %w", err)
		}
	}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		ca, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return 0, nil, err
		}
		trusted = append(trusted, ca)
	}
	if len(trusted) == 0 {
		return 0, nil, errors.New("it holds no certificate")
	}
	return revision, trusted, nil
}

// keyring holds the credentials that count now. Connections that are made
// later use what is in it then.
type keyring struct {
	mu       sync.Mutex
	now      *credentials
	replaced chan struct{} // closed when others have come
}

func newKeyring(c *credentials) *keyring {
	return &keyring{now: c, replaced: make(chan struct{})}
}

// get gives the credentials, and a channel that is closed when they are
// replaced.
func (k *keyring) get() (*credentials, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now, k.replaced
}

func (k *keyring) creds() *credentials {
	c, _ := k.get()
	return c
}

func (k *keyring) set(c *credentials) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.replaced)
	k.now, k.replaced = c, make(chan struct{})
}

// lifespan tells when a connection has to make place for a new one: when
// either end may have got another certificate since.
type lifespan struct {
	replaced <-chan struct{}
	until    time.Time
}

func (k *keyring) lifespan(longest time.Duration) lifespan {
	_, replaced := k.get()
	return lifespan{replaced: replaced, until: time.Now().Add(longest)}
}

func (l lifespan) over() bool {
	select {
	case <-l.replaced:
		return true
	default:
		return !time.Now().Before(l.until)
	}
}
