package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// A group has its own certificate authority, made when it is formed and
// replaced now and then (rotate.go). Its key lives in the replicated state, so
// that any member can let a new one in and renew its own certificate, and in no
// file. A member's certificate names the member (DNS name = node id) and the
// group (URI parlor://{cluster id}/{node id}).
const (
	caLife = 10 * 365 * 24 * time.Hour
	skew   = 24 * time.Hour // machines that have no common idea of the time may still join
)

// validity is from when to when a certificate counts.
type validity struct{ from, to time.Time }

// validFor is life from now on, for whichever of the clocks is right.
func validFor(life time.Duration, clocks []time.Time) validity {
	v := validity{from: clocks[0], to: clocks[0]}
	for _, at := range clocks[1:] {
		if at.Before(v.from) {
			v.from = at
		}
		if at.After(v.to) {
			v.to = at
		}
	}
	return validity{from: v.from.Add(-skew), to: v.to.Add(life)}
}

// authority is the group's certificate authority with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(clusterID string, valid validity) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{Organization: []string{"Parlor"}, CommonName: "Parlor group " + clusterID},
		NotBefore:             valid.from,
		NotAfter:              valid.to,
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

// loadAuthority joins an authority's certificate with its key.
func loadAuthority(certDER, keyDER []byte) (*authority, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's certificate: %w", err)
	}
	key, err := x509.ParseECPrivateKey(keyDER)
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
func (a *authority) sign(csrDER []byte, clusterID, nodeID string, valid validity) ([]byte, error) {
	csr, err := x509.ParseCertificateRequest(csrDER)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("checking the certificate request: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{Organization: []string{"Parlor"}, CommonName: nodeID},
		NotBefore:    valid.from,
		NotAfter:     valid.to,
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
