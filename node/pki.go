package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// A group has its own certificate authority, made when it is formed. Its key
// lives in the replicated state, so that any member can let a new one in, and
// in no file. A member's certificate names the member (DNS name = node id)
// and the group (URI parlor://{cluster id}/{node id}).
const (
	caLife   = 30 * 365 * 24 * time.Hour
	certLife = 10 * 365 * 24 * time.Hour
	skew     = 24 * time.Hour // machines that have no common idea of the time may still join
)

// authority is the group's certificate authority with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(clusterID string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{"Parlor"}, CommonName: "Parlor group " + clusterID},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

// keyPEM is what the replicated state holds.
func (a *authority) keyPEM() ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// loadAuthority joins the certificate that every member has with the key of
// the replicated state.
func loadAuthority(cert *x509.Certificate, keyPEM []byte) (*authority, error) {
	b, _ := pem.Decode(keyPEM)
	if b == nil {
		return nil, errors.New("the authority's key is not PEM")
	}
	key, err := x509.ParseECPrivateKey(b.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's key: %w", err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the authority's key does not fit its certificate")
	}
	return &authority{cert: cert, key: key}, nil
}

// sign makes a member's certificate from its request. Of the request only the
// public key counts: who it is for was decided by the caller.
func (a *authority) sign(csrDER []byte, clusterID, nodeID string) ([]byte, error) {
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("checking the certificate request: %w", err)
	}
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{Organization: []string{"Parlor"}, CommonName: nodeID},
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(certLife),
		DNSNames:     []string{nodeID},
		URIs:         []*url.URL{memberURI(clusterID, nodeID)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return x509.CreateCertificate(rand.Reader, tmpl, a.cert, csr.PublicKey, a.key)
}

func memberURI(clusterID, nodeID string) *url.URL {
	return &url.URL{Scheme: "parlor", Host: clusterID, Path: "/" + nodeID}
}

// memberOf tells which member of which group a certificate names.
func memberOf(cert *x509.Certificate) (clusterID, nodeID string, err error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "parlor" || len(cert.URIs[0].Path) < 2 {
		return "", "", errors.New("the certificate names no member")
	}
	return cert.URIs[0].Host, cert.URIs[0].Path[1:], nil
}

func newSerial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

func newMemberKey() (key *ecdsa.PrivateKey, csr []byte, err error) {
	key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making the member's key: %w", err)
	}
	csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("making the certificate request: %w", err)
	}
	return key, csr, nil
}

// fingerprint is what a join token pins: SHA-256 of the certificate, in hex.
func fingerprint(certDER []byte) string {
	sum := sha256.Sum256(certDER)
	return hex.EncodeToString(sum[:])
}

// credentials are a member's certificate, key and authority, as on disk.
type credentials struct {
	ca   *x509.Certificate
	pool *x509.CertPool
	cert tls.Certificate // with the authority's behind it, for those who pin that
}

func storeCredentials(dir string, caDER, certDER []byte, key *ecdsa.PrivateKey) error {
	folder := filepath.Join(dir, pkiFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", folder, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		kind string
		der  []byte
	}{
		{"ca.crt", "CERTIFICATE", caDER},
		{"node.crt", "CERTIFICATE", certDER},
		{"node.key", "EC PRIVATE KEY", keyDER},
	} {
		text := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := writeFile(filepath.Join(folder, f.name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func loadCredentials(dir string) (*credentials, error) {
	folder := filepath.Join(dir, pkiFolder)
	caPEM, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, fail(CodeDamaged, "the group's certificate cannot be read: "+err.Error())
	}
	b, _ := pem.Decode(caPEM)
	if b == nil {
		return nil, fail(CodeDamaged, filepath.Join(folder, "ca.crt")+" holds no certificate")
	}
	ca, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return nil, fail(CodeDamaged, filepath.Join(folder, "ca.crt")+": "+err.Error())
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(folder, "node.crt"), filepath.Join(folder, "node.key"))
	if err != nil {
		return nil, fail(CodeDamaged, "the member's certificate cannot be read: "+err.Error())
	}
	cert.Certificate = append(cert.Certificate[:1:1], ca.Raw)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &credentials{ca: ca, pool: pool, cert: cert}, nil
}
