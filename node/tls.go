package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// The cluster port carries several kinds of connections, told apart by ALPN,
// so that a large snapshot never stands in the way of a vote or a read.
const (
	protoRaft   = "parlor-raft/1"   // raft's own
	protoWrites = "parlor-writes/1" // a follower's proposals, one way
	protoCalls  = "parlor-calls/1"  // questions and answers between members
	protoJoin   = "parlor-join/1"   // the only one that needs no certificate: see join.go
)

// guard makes the TLS configurations of a member and decides whom it talks to.
type guard struct {
	clusterID string
	creds     *credentials
	removed   func(nodeID string) bool // was that member taken out of the group?
}

// server is the configuration of the cluster port.
func (g *guard) server() *tls.Config {
	members := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{g.creds.cert},
		NextProtos:   []string{protoRaft, protoWrites, protoCalls},
		ClientAuth:   tls.RequireAnyClientCert, // verified below, against our authority only
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := g.verify(cs, x509.ExtKeyUsageClientAuth)
			return err
		},
		SessionTicketsDisabled: true, // a resumed session would outlive a removal
	}
	joiners := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{g.creds.cert},
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

// client is the configuration for a connection to a member; an empty id
// accepts whichever member answers.
func (g *guard) client(proto, nodeID string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{g.creds.cert},
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
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: g.creds.pool, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return "", fmt.Errorf("checking the peer's certificate: %w", err)
	}
	// A removed member may still call, and is told that it was removed.
	if g.removed(node) && cs.NegotiatedProtocol != protoCalls {
		return "", fail(CodeRemoved, "member "+node+" was removed from the group")
	}
	return node, nil
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
