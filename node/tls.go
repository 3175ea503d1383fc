package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The cluster port carries several kinds of connections, told apart by ALPN,
// so that a large snapshot never stands in the way of a vote or a read.
const (
	protoRaft   = "parlor-raft/1"   // raft's own
	protoWrites = "parlor-writes/1" // a follower's proposals, one way
	protoCalls  = "parlor-calls/1"  // questions and answers between members
	protoSeed   = "parlor-state/1"  // the table, for a member whose own is no good
	protoJoin   = "parlor-join/1"   // the only one that needs no certificate: see join.go
)

// guard makes the TLS configurations of a member and decides whom it talks to.
type guard struct {
	clusterID string
	ring      *keyring
	removed   func(nodeID string) bool // was that member taken out of the group?
	clocks    func() []time.Time       // what time it is, by each clock that may be right
	longest   time.Duration            // that a connection lives
	// mint gives a certificate of this member by the authority whose
	// fingerprint begins with pin, for a new member that knows only that one.
	mint func(pin string) (*tls.Certificate, error)
}

// server is the configuration of the cluster port. Certificates are those that
// count at the time of each handshake.
func (g *guard) server() *tls.Config {
	members := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &g.ring.creds().cert, nil },
		NextProtos:     []string{protoRaft, protoWrites, protoCalls, protoSeed},
		ClientAuth:     tls.RequireAnyClientCert, // verified below, against our authorities only
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := g.verify(cs, x509.ExtKeyUsageClientAuth)
			return err
		},
		SessionTicketsDisabled: true, // a resumed session would outlive a removal
	}
	joiners := &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			creds := g.ring.creds()
			pin, named := strings.CutSuffix(hello.ServerName, pinSuffix)
			if !named || strings.HasPrefix(creds.issuedBy(), pin) {
				return &creds.cert, nil
			}
			if cert, err := g.mint(pin); err == nil {
				return cert, nil
			}
			return &creds.cert, nil // the new member will say what is wrong with it
		},
		NextProtos:             []string{protoJoin},
		SessionTicketsDisabled: true,
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if slices.Contains(hello.SupportedProtos, protoJoin) {
				return joiners, nil
			}
			return members, nil
		},
	}
}

// A new member names the authority that its token pins as the server name, so
// that it can be shown a certificate of that one while there are two.
const (
	pinSuffix = ".ca.parlor"
	pinDigits = 32
)

// client is the configuration for a connection to a member; an empty id
// accepts whichever member answers.
func (g *guard) client(proto, nodeID string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &g.ring.creds().cert, nil
		},
		NextProtos:         []string{proto},
		InsecureSkipVerify: true, // members are known by id, not by host name: verified below
		VerifyConnection: func(cs tls.ConnectionState) error {
			peer, err := g.verify(cs, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if nodeID != "" && peer != nodeID {
				return fail(CodeUnreachable, "at that address is member "+peer+", not "+nodeID)
			}
			if cs.NegotiatedProtocol != proto {
				return errors.New("the peer does not speak " + proto)
			}
			return nil
		},
	}
}

// verify tells which member of our group is at the other end.
func (g *guard) verify(cs tls.ConnectionState, usage x509.ExtKeyUsage) (nodeID string, err error) {
	if len(cs.PeerCertificates) == 0 {
		return "", errors.New("the peer has no certificate")
	}
	leaf := cs.PeerCertificates[0]
	cluster, node, err := memberOf(leaf)
	if err != nil {
		return "", err
	}
	if cluster != g.clusterID {
		return "", fail(CodeWrongCluster, fmt.Sprintf("the peer is a member of group %s, this is group %s", cluster, g.clusterID))
	}
	if err := g.verifyChain(leaf, usage); err != nil {
		return "", err
	}
	// A removed member may still call, and is told that it was removed.
	if g.removed(node) && cs.NegotiatedProtocol != protoCalls {
		return "", fail(CodeRemoved, "member "+node+" was removed from the group")
	}
	return node, nil
}

// verifyChain checks that one of our authorities has made a certificate, and
// that it counts now. A machine whose clock is years off must not leave the
// group for that: the group's own time is asked as well.
func (g *guard) verifyChain(leaf *x509.Certificate, usage x509.ExtKeyUsage) error {
	var err error
	for _, at := range g.clocks() {
		_, err = leaf.Verify(x509.VerifyOptions{Roots: g.ring.creds().pool, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at})
		if err == nil {
			return nil
		}
	}
	const remedy = "; if that member was away for long, stop it and run there: parlor cert renew --server HOST:PORT --token TOKEN"
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return fmt.Errorf("the peer's certificate is by an authority that this member does not trust: %w%s", err, remedy)
	case errors.As(err, new(x509.CertificateInvalidError)):
		return fmt.Errorf("the peer's certificate (%s to %s) does not count now: %w%s", date(leaf.NotBefore), date(leaf.NotAfter), err, remedy)
	}
	return fmt.Errorf("checking the peer's certificate: %w", err)
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// still checks a connection again that was let in: its peer's certificate may
// have ended since, or we may trust its authority no more.
func (g *guard) still(cs tls.ConnectionState) error {
	if cs.NegotiatedProtocol == protoJoin || len(cs.PeerCertificates) == 0 {
		return nil
	}
	return g.verifyChain(cs.PeerCertificates[0], x509.ExtKeyUsageAny)
}

// peerID tells who is at the other end of a connection that was let in.
func peerID(cs tls.ConnectionState) string {
	if len(cs.PeerCertificates) == 0 {
		return ""
	}
	_, id, err := memberOf(cs.PeerCertificates[0])
	if err != nil {
		return ""
	}
	return id
}
