package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// Replacing the group's authority without an interruption takes three steps,
// which the leader takes one after the other, each when all members have done
// the one before:
//
//  1. a second authority is made, and every member trusts both;
//  2. it signs: every member gets itself a certificate by it;
//  3. the first one is trusted no more, and its key forgotten.
//
// In between, everything works, for as long as it takes: a member that is down
// is waited for. The steps are revisions in the replicated state, so another
// leader goes on where one has stopped.

// describe is what a member answers about its certificate.
func (c *credentials) describe(nodeID string, life time.Duration) MemberCert {
	m := MemberCert{
		ID: nodeID, Reachable: true, Authority: c.issuedBy(), Serial: c.cert.Leaf.SerialNumber.Text(16),
		NotBefore: c.cert.Leaf.NotBefore, NotAfter: c.cert.Leaf.NotAfter,
		Renews: renewalDue(c.cert.Leaf, life), Revision: c.revision,
	}
	for _, ca := range c.trusted {
		m.Trusts = append(m.Trusts, fingerprint(ca.Raw))
	}
	return m
}

func (n *Node) describeCert() MemberCert {
	return n.guard.ring.creds().describe(n.id.NodeID, n.opt.Timing.CertLife)
}

func (n *Node) answerCert(context.Context, string, []byte) (any, error) {
	return n.describeCert(), nil
}

func (n *Node) answerRenew(context.Context, string, []byte) (any, error) {
	if err := n.keepCertificate(true); err != nil {
		return nil, err
	}
	return n.describeCert(), nil
}

// rotating is the leader's duty to bring a rotation to its end, and to begin
// one before the authority ends by itself.
func (n *Node) rotating(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	for {
		if err := n.rotationStep(ctx); err != nil && ctx.Err() == nil {
			n.complaining("replacing the group's certificate authority", err)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) rotationStep(ctx context.Context) error {
	n.rotation.Lock()
	defer n.rotation.Unlock()
	a, ok, err := n.authorities()
	if err != nil || !ok {
		return err
	}
	held := n.guard.ring.creds()
	switch {
	case !n.fits(a):
		n.log.Warn("the state was restored from another time: the group gets a new certificate authority", "revision", a.Revision, "held", held.revision)
		return n.beginRotation(ctx, heldAuthorities(held, a.Revision))
	case a.resting():
		if ca := held.issuer; ca != nil && a.Revision == held.revision && n.opt.wall().After(renewalDue(ca, caLife)) {
			n.log.Info("two thirds of the life of the group's certificate authority are over: it is replaced")
			return n.beginRotation(ctx, a)
		}
		return nil
	}
	if waiting := a.waitsFor(n.memberCerts(ctx)); len(waiting) > 0 {
		return nil
	}
	next := a
	next.Revision++
	if a.Signer != a.Target {
		next.Signer = a.Target
		n.log.Info("every member trusts the new certificate authority: it signs from now on", "authority", short(a.Target))
		return n.writeAuthorities(ctx, next)
	}
	next.All = slices.DeleteFunc(slices.Clone(a.All), func(ca authorityDoc) bool { return fingerprint(ca.Cert) != a.Target })
	next.Without = nil
	useless, err := n.uselessTokens(ctx, a.Target)
	if err != nil {
		return err
	}
	n.log.Info("every member has a certificate by the new authority: the old one is trusted no more", "authority", short(a.Target))
	return n.writeAuthorities(ctx, next, useless...)
}

// heldAuthorities is what this member trusts, as the beginning of a rotation.
// The keys are lost, so nobody signs until it is over.
func heldAuthorities(held *credentials, seen uint64) authorities {
	a := authorities{Revision: max(held.revision, seen), Signer: held.issuedBy()}
	for _, ca := range held.trusted {
		a.All = append(a.All, authorityDoc{Cert: ca.Raw})
	}
	return a
}

// beginRotation adds a new authority to those of a.
func (n *Node) beginRotation(ctx context.Context, a authorities) error {
	ca, err := newAuthority(n.id.ClusterID, validFor(caLife, n.clocks()))
	if err != nil {
		return err
	}
	doc, err := ca.doc()
	if err != nil {
		return err
	}
	a.Revision++
	a.Target, a.Without = fingerprint(doc.Cert), nil
	a.All = append(slices.Clone(a.All), doc)
	return n.writeAuthorities(ctx, a)
}

// waitsFor gives the members that have not done what the step of this revision
// asks of them.
func (a authorities) waitsFor(members []MemberCert) (waiting []MemberCert) {
	for _, m := range members {
		switch {
		case !m.Reachable && slices.Contains(a.Without, m.ID):
		case !m.Reachable, m.Revision < a.Revision, a.Signer == a.Target && m.Authority != a.Target:
			waiting = append(waiting, m)
		}
	}
	return waiting
}

// uselessTokens gives what forgets the join tokens that pin an authority that is
// about to go: they will open nothing any more.
func (n *Node) uselessTokens(ctx context.Context, remaining string) (forget []command.Args, err error) {
	tokens, err := n.Tokens(ctx)
	for _, t := range tokens {
		if t.authority != remaining {
			forget = append(forget, command.New("DEL", tokenKey+t.ID))
		}
	}
	return forget, err
}

// RotateOptions say how the authority is to be replaced.
type RotateOptions struct {
	// Back ends a rotation with the authority it began with.
	Back bool `json:"back,omitempty"`
	// Force goes on without the members that do not answer now.
	Force bool `json:"force,omitempty"`
}

// RotateCA begins to replace the group's certificate authority, or goes on
// with it as the options say. It can be asked of any member, and does not wait
// for the end: see Certificates.
func (n *Node) RotateCA(ctx context.Context, o RotateOptions) error {
	return n.atLeader(ctx, func(ctx context.Context, leader string) error {
		if leader == n.id.NodeID {
			return n.rotate(ctx, o)
		}
		return n.calls.call(ctx, leader, callRotate, o, &struct{}{})
	})
}

func (n *Node) answerRotate(ctx context.Context, _ string, body []byte) (any, error) {
	var o RotateOptions
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fail(CodeInvalid, "the call cannot be read")
	}
	return struct{}{}, n.rotate(ctx, o)
}

// rotate is done by the leader.
func (n *Node) rotate(ctx context.Context, o RotateOptions) error {
	n.rotation.Lock()
	defer n.rotation.Unlock()
	if n.lead.term.Load() == 0 {
		return errNotLeader
	}
	a, ok, err := n.authorities()
	if err != nil {
		return err
	}
	if !ok || !n.fits(a) {
		return fail(CodeInvalid, "the group is getting a new certificate authority already; see cert status")
	}
	switch {
	case a.resting() && o.Back:
		return fail(CodeInvalid, "no rotation is under way that could be taken back")
	case a.resting() && o.Force:
		return fail(CodeInvalid, "no rotation is under way that could go on without somebody: begin one without --force")
	case a.resting():
		return n.beginRotation(ctx, a)
	case !o.Back && !o.Force:
		return fail(CodeInvalid, "a rotation is under way already; see cert status")
	}
	a.Revision++
	if o.Back {
		if a, err = a.takenBack(); err != nil {
			return err
		}
	}
	if o.Force {
		a.Without = nil
		for _, m := range n.memberCerts(ctx) {
			if !m.Reachable {
				a.Without = append(a.Without, m.ID)
			}
		}
	}
	return n.writeAuthorities(ctx, a)
}

// takenBack makes the other authority the one to remain.
func (a authorities) takenBack() (authorities, error) {
	for _, ca := range a.All {
		if fp := fingerprint(ca.Cert); fp != a.Target {
			if len(ca.Key) == 0 {
				return a, fail(CodeInvalid, "the key of the authority before is lost: the rotation can only go on")
			}
			a.Target = fp
			return a, nil
		}
	}
	return a, fail(CodeInternal, "there is no other authority")
}

// MemberCert is a member's certificate for the cluster port. What is asked of
// the member itself is zero if it does not answer.
type MemberCert struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Reachable bool      `json:"reachable"`
	Authority string    `json:"authority,omitempty"` // fingerprint of the one that signed it
	Serial    string    `json:"serial,omitempty"`    // hexadecimal
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Renews    time.Time `json:"renews"`           // when the member renews it by itself
	Trusts    []string  `json:"trusts,omitempty"` // fingerprints of authorities
	Revision  uint64    `json:"revision"`         // of the group's authorities that it follows
}

// Authority is a certificate authority of the group.
type Authority struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate, as in join tokens
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Signs       bool      `json:"signs"`
	Remains     bool      `json:"remains"` // false: trusted only until the rotation is over
}

// Certificates tells of the certificates of the cluster port.
type Certificates struct {
	Revision    uint64       `json:"revision"`
	Stage       string       `json:"stage"` // rest, distribute (all come to trust the new authority), reissue (all get certificates by it)
	Authorities []Authority  `json:"authorities"`
	Members     []MemberCert `json:"members"`
	Waiting     []string     `json:"waiting,omitempty"` // node ids that the rotation waits for
	Without     []string     `json:"without,omitempty"` // … and that it goes on without
}

// Stages of a rotation.
const (
	StageRest       = "rest"
	StageDistribute = "distribute"
	StageReissue    = "reissue"
)

func (a authorities) stage() string {
	switch {
	case a.resting():
		return StageRest
	case a.Signer != a.Target:
		return StageDistribute
	}
	return StageReissue
}

// Certificates asks all members, and waits a second for them at most.
func (n *Node) Certificates(ctx context.Context) (Certificates, error) {
	a, ok, err := n.authorities()
	if err != nil {
		return Certificates{}, err
	}
	if !ok {
		return Certificates{}, fail(CodeInternal, "the group's state has no certificate authority")
	}
	out := Certificates{Revision: a.Revision, Stage: a.stage(), Members: n.memberCerts(ctx), Without: a.Without}
	certs, err := parseCertificates(a.certs())
	if err != nil {
		return Certificates{}, err
	}
	for _, ca := range certs {
		fp := fingerprint(ca.Raw)
		out.Authorities = append(out.Authorities, Authority{
			Fingerprint: fp, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, Signs: fp == a.Signer, Remains: fp == a.Target,
		})
	}
	if !a.resting() {
		for _, m := range a.waitsFor(out.Members) {
			out.Waiting = append(out.Waiting, m.ID)
		}
	}
	return out, nil
}

// memberCerts asks every member.
func (n *Node) memberCerts(ctx context.Context) []MemberCert {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	servers := n.servers()
	out := make([]MemberCert, len(servers))
	done := make(chan struct{}, len(servers))
	for i, s := range servers {
		go func() {
			defer func() { done <- struct{}{} }()
			id := string(s.ID)
			m := MemberCert{ID: id}
			if id == n.id.NodeID {
				m = n.describeCert()
			} else if err := n.calls.call(ctx, id, callCert, nil, &m); err != nil {
				m = MemberCert{ID: id}
			}
			var info memberInfo
			if json.Unmarshal(n.field(membersKey, id), &info) == nil {
				m.Name = info.Name
			}
			out[i] = m
		}()
	}
	for range servers {
		<-done
	}
	return out
}

// RenewCertificates renews this member's certificate, or everybody's.
func (n *Node) RenewCertificates(ctx context.Context, all bool) ([]MemberCert, error) {
	if !all {
		if err := n.keepCertificate(true); err != nil {
			return nil, err
		}
		return []MemberCert{n.describeCert()}, nil
	}
	var out []MemberCert
	var failed []string
	for _, s := range n.servers() {
		m := MemberCert{ID: string(s.ID)}
		var err error
		if m.ID == n.id.NodeID {
			if err = n.keepCertificate(true); err == nil {
				m = n.describeCert()
			}
		} else {
			err = n.calls.call(ctx, m.ID, callRenew, nil, &m)
		}
		if err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", m.ID, err))
		}
		out = append(out, m)
	}
	if len(failed) > 0 {
		return out, fail(CodeUnreachable, "some members have no new certificate: "+strings.Join(failed, "; "))
	}
	return out, nil
}

// HeldCertificate reads the certificate in a data folder, without the member
// running.
func HeldCertificate(dir string) (MemberCert, error) {
	id, err := Inspect(dir)
	if err != nil {
		return MemberCert{}, err
	}
	creds, err := loadCredentials(dir)
	if err != nil {
		return MemberCert{}, err
	}
	m := creds.describe(id.NodeID, Timing{}.withDefaults().CertLife)
	m.Reachable = false
	return m, nil
}
