package node

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/parlorchat/parlor/storage/command"
)

// Joining gets a new member its certificate, and nothing else: the group does
// not know of it until it starts and announces itself (membership.go). So a
// join that breaks off half-way leaves nothing behind anywhere.

const (
	joinLimit   = 64 << 10
	joinTimeout = 15 * time.Second
	joinsAtOnce = 8
)

// joinRequest is what a new member sends once it knows the group by its
// fingerprint.
type joinRequest struct {
	TokenID string `json:"token_id"`
	Secret  string `json:"secret"`
	NodeID  string `json:"node_id"`
	CSR     []byte `json:"csr"`     // DER
	Version string `json:"version"` // of the program
	// Levels is the feature levels that the program supports.
	Levels command.LevelRange `json:"levels,omitzero"`
	// Renew asks for another certificate of a member that the group may have
	// already: one that was away while its own ended or lost its authority.
	Renew bool `json:"renew,omitempty"`
}

type joinAnswer struct {
	ClusterID string            `json:"cluster_id"`
	Trusted   [][]byte          `json:"trusted"`  // authorities, DER
	Revision  uint64            `json:"revision"` // of the group's authorities
	Cert      []byte            `json:"cert"`     // DER
	Peers     map[string]string `json:"peers"`
	Level     int               `json:"level,omitempty"` // the group's feature level
}

// Joined tells what a join has made.
type Joined struct {
	ClusterID string `json:"cluster_id"`
	NodeID    string `json:"node_id"`
	Cluster   string `json:"cluster"` // address of the cluster port
}

// Join makes the data folder that of a new member of an existing group. server
// is the cluster address of any member. The folder must belong to nobody; if
// Join fails, it still does. The member takes part from its first Start on,
// without a vote until it has caught up.
func Join(ctx context.Context, opts Options, server, tokenText string) (Joined, error) {
	opts = opts.withDefaults()
	t, err := parseToken(tokenText)
	if err != nil {
		return Joined{}, err
	}
	if err := opts.check(); err != nil {
		return Joined{}, err
	}
	_, err = os.Stat(opts.Dir)
	fresh := errors.Is(err, os.ErrNotExist)
	lock, err := lockFolder(opts.Dir)
	if err != nil {
		return Joined{}, err
	}
	defer lock.Close()
	id, err := joinInto(ctx, opts, server, t)
	if err != nil {
		if fresh { // take back what locking has made
			os.Remove(filepath.Join(opts.Dir, lockFile))
			os.Remove(opts.Dir)
		}
		return Joined{}, err
	}
	return Joined{ClusterID: id.ClusterID, NodeID: id.NodeID, Cluster: id.Cluster}, nil
}

func joinInto(ctx context.Context, opts Options, server string, t token) (Identity, error) {
	if err := checkVacant(opts.Dir); err != nil {
		return Identity{}, err
	}
	if err := clearFolder(opts.Dir); err != nil { // of an interrupted init or reset
		return Identity{}, err
	}
	id := Identity{Format: 1, State: stateMember, NodeID: uuid.NewString(), Listen: opts.Listen}
	var err error
	if id.Cluster, err = chooseAddress(opts); err != nil {
		return Identity{}, err
	}
	creds, answer, err := askForCertificate(ctx, server, t, joinRequest{NodeID: id.NodeID, Version: opts.Version, Levels: opts.Table.Levels()})
	if err != nil {
		return Identity{}, err
	}
	if err := creds.store(opts.Dir); err != nil {
		return Identity{}, err
	}
	id.ClusterID, id.Peers, id.Level = answer.ClusterID, answer.Peers, answer.Level
	return id, id.write(opts.Dir) // last: without it the folder belongs to nobody
}

// RenewBy gets a member that is not running another certificate from the
// group, as a new member gets its first: one that was away for so long that its
// own has ended, or that the group has replaced its authority. server is the
// cluster address of any member.
func RenewBy(ctx context.Context, dir, server, tokenText string) (MemberCert, error) {
	t, err := parseToken(tokenText)
	if err != nil {
		return MemberCert{}, err
	}
	id, err := Inspect(dir)
	if err != nil {
		return MemberCert{}, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return MemberCert{}, err
	}
	defer lock.Close()
	creds, answer, err := askForCertificate(ctx, server, t, joinRequest{NodeID: id.NodeID, Renew: true})
	if err != nil {
		return MemberCert{}, err
	}
	if answer.ClusterID != id.ClusterID {
		return MemberCert{}, fail(CodeWrongCluster, fmt.Sprintf("%s belongs to group %s, the token to group %s", dir, id.ClusterID, answer.ClusterID))
	}
	if err := creds.store(dir); err != nil {
		return MemberCert{}, err
	}
	id.Peers = answer.Peers
	return creds.describe(id.NodeID, Timing{}.withDefaults().CertLife), id.write(dir)
}

// askForCertificate has a new key signed by the group that the token names.
func askForCertificate(ctx context.Context, server string, t token, req joinRequest) (*credentials, joinAnswer, error) {
	key, csr, err := newMemberKey()
	if err != nil {
		return nil, joinAnswer{}, err
	}
	req.TokenID, req.Secret, req.CSR = t.id, t.secret, csr
	answer, err := askToJoin(ctx, server, t, req)
	if err != nil {
		return nil, joinAnswer{}, err
	}
	cert, err := memberKeyPair(answer.Cert, key)
	if err != nil {
		return nil, joinAnswer{}, err
	}
	trusted, err := parseCertificates(answer.Trusted)
	if err != nil {
		return nil, joinAnswer{}, err
	}
	creds := newCredentials(answer.Revision, trusted, cert)
	return creds, answer, creds.check(t, answer.ClusterID, req.NodeID)
}

// check refuses credentials that would not work.
func (c *credentials) check(t token, clusterID, nodeID string) error {
	if !c.trusts(t.fingerprint) {
		return errWrongCA
	}
	cluster, node, err := memberOf(c.cert.Leaf)
	key, ok := c.cert.PrivateKey.(*ecdsa.PrivateKey)
	if err != nil || cluster != clusterID || node != nodeID || !ok || !key.PublicKey.Equal(c.cert.Leaf.PublicKey) || c.issuer == nil {
		return fail(CodeInternal, "the group answered with a certificate for somebody else")
	}
	return nil
}

var errWrongCA = fail(CodeWrongCA, "the server is not of the group that the join token names, or the group's authority was replaced since: make another token with token create; nothing was sent to it")

// askToJoin sends the request to a member, after it has proved that it is of
// the group that the token names.
func askToJoin(ctx context.Context, server string, t token, req joinRequest) (joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{protoJoin},
		ServerName:         t.fingerprint[:pinDigits] + pinSuffix,
		InsecureSkipVerify: true, // there is no name to check, only the pinned authority
		VerifyConnection:   t.pinned,
	}}
	conn, err := d.DialContext(ctx, "tcp", server)
	if e := (*Error)(nil); errors.As(err, &e) {
		return joinAnswer{}, e
	}
	if err != nil {
		return joinAnswer{}, fail(CodeUnreachable, "no member answers at "+server+": "+err.Error())
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	body, err := json.Marshal(req)
	if err != nil {
		return joinAnswer{}, err
	}
	w := &frameWriter{w: bufio.NewWriter(conn)}
	if err := w.write(frameCall, 1, body); err != nil {
		return joinAnswer{}, fail(CodeUnreachable, "asking "+server+" to join: "+err.Error())
	}
	f, err := readFrame(bufio.NewReader(conn), callLimit)
	if err != nil {
		return joinAnswer{}, fail(CodeUnreachable, "asking "+server+" to join: "+err.Error())
	}
	if f.kind == frameError {
		return joinAnswer{}, decodeError(f.body)
	}
	var a joinAnswer
	if err := json.Unmarshal(f.body, &a); err != nil {
		return joinAnswer{}, fmt.Errorf("reading the answer of %s: %w", server, err)
	}
	return a, nil
}

// pinned accepts a server whose certificate was made by the authority that
// the token names.
func (t token) pinned(cs tls.ConnectionState) error {
	for _, ca := range cs.PeerCertificates[1:] {
		if fingerprint(ca.Raw) != t.fingerprint {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		if _, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots}); err != nil {
			return fmt.Errorf("checking the server's certificate (this machine's clock says %s): %w", date(time.Now()), err)
		}
		return nil
	}
	return errWrongCA
}

// serveJoin answers one new member. Anybody can connect here: little is read,
// and nothing is done before the token is known to be good.
func (n *Node) serveJoin(conn *tls.Conn) {
	select {
	case n.joins <- struct{}{}:
		defer func() { <-n.joins }()
	default:
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, joinTimeout)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(joinTimeout))
	f, err := readFrame(bufio.NewReader(conn), joinLimit)
	if err != nil || f.kind != frameCall {
		return
	}
	kind, body := frameAnswer, []byte(nil)
	answer, err := n.answerJoin(ctx, f.body)
	if err == nil {
		body, err = json.Marshal(answer)
	}
	if err != nil {
		n.log.Warn("refused a new member", "from", conn.RemoteAddr().String(), "err", err)
		kind, body = frameError, encodeError(err)
	}
	w := &frameWriter{w: bufio.NewWriter(conn)}
	_ = w.write(kind, f.id, body) // who has gone asks again
}

func (n *Node) answerJoin(ctx context.Context, body []byte) (joinAnswer, error) {
	var req joinRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return joinAnswer{}, fail(CodeInvalid, "the join request cannot be read")
	}
	if u, err := uuid.Parse(req.NodeID); err != nil || u.String() != req.NodeID {
		return joinAnswer{}, fail(CodeInvalid, "the join request names no valid node id")
	}
	// Any member can answer, but only one that knows of every revoked token.
	if err := n.ReadIndex(ctx); err != nil {
		return joinAnswer{}, err
	}
	if _, err := n.checkToken(req.TokenID, req.Secret); err != nil {
		return joinAnswer{}, err
	}
	switch {
	case n.isRemoved(req.NodeID):
		return joinAnswer{}, errRemoved(req.NodeID)
	case !req.Renew && n.isMember(req.NodeID):
		return joinAnswer{}, fail(CodeInvalid, "the node id is taken")
	}
	if !req.Renew {
		if err := checkLevel(req.Levels, n.Level(), "the program that asks to join"+versionText(req.Version)); err != nil {
			return joinAnswer{}, err
		}
	}
	a, ca, err := n.signing()
	if err != nil {
		return joinAnswer{}, err
	}
	cert, err := ca.sign(req.CSR, n.id.ClusterID, req.NodeID, validFor(n.opt.Timing.CertLife, n.clocks()))
	if err != nil {
		return joinAnswer{}, fail(CodeInvalid, err.Error())
	}
	if err := n.useToken(ctx, req.TokenID, req.Secret); err != nil { // last: who is refused has used nothing up
		return joinAnswer{}, err
	}
	if req.Renew {
		n.log.Info("gave a member another certificate", "member", req.NodeID, "token", req.TokenID)
	} else {
		n.log.Info("let a new member in", "member", req.NodeID, "token", req.TokenID)
	}
	return joinAnswer{ClusterID: n.id.ClusterID, Trusted: a.certs(), Revision: a.Revision, Cert: cert, Peers: n.addresses(), Level: n.Level()}, nil
}
