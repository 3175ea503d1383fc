package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// A member renews its certificate by itself: the authority's key is in its own
// copy of the state. So a group whose machines were all switched off for longer
// than a certificate lives starts like any other, and no leader is needed.

// clocks is what time it is: by this machine, and by the group as far as this
// member knows. A machine may have a clock that is years off, and a member
// that was away knows an old time of the group; one that is new knows when the
// group has made its certificate.
func (n *Node) clocks() []time.Time {
	group, made := time.UnixMilli(n.readClock()), n.guard.ring.creds().cert.Leaf.NotBefore.Add(skew)
	if group.Before(made) {
		group = made
	}
	return []time.Time{n.opt.wall(), group}
}

// keepingCertificates renews and follows the group's authorities until ctx ends.
func (n *Node) keepingCertificates(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	checked := time.Now()
	for {
		before := n.guard.ring.creds().revision
		if err := n.keepCertificate(false); err != nil {
			n.complaining("the member's certificate cannot be renewed", err)
		}
		if n.guard.ring.creds().revision != before {
			n.checkpoint() // so that a start finds the keys in the table, whatever it can reach
		}
		if time.Since(checked) > time.Minute {
			checked = time.Now()
			n.port.hangUpIf(func(cs tls.ConnectionState) bool { return n.guard.still(cs) != nil })
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// complaining writes an error, but not as often as it comes.
func (n *Node) complaining(what string, err error) {
	if n.complaints.isNew(what + err.Error()) {
		n.log.Error(what, "err", err)
	}
}

// keepCertificate brings this member's credentials in line with the latest
// authorities that it knows of, and renews its certificate if two thirds of
// its life are over, or at once if now is set.
func (n *Node) keepCertificate(now bool) error {
	n.renewing.Lock()
	defer n.renewing.Unlock()
	if n.expelled.Load() || n.isRemoved(n.id.NodeID) {
		return nil // the group would not hear of it
	}
	held := n.guard.ring.creds()
	a, ok, err := n.authorities()
	if err != nil || !ok || !n.fits(a) {
		return err
	}
	trusted := held.trusted
	if a.Revision > held.revision {
		if trusted, err = parseCertificates(a.certs()); err != nil {
			return err
		}
	}
	cert, reason := held.cert, ""
	switch {
	case now:
		reason = "asked for"
	case held.issuedBy() != a.Signer:
		reason = "another authority signs"
	default:
		reason = n.renewalReason(held)
	}
	if reason != "" {
		ca, err := a.signer()
		if err != nil {
			if a.Revision == held.revision {
				return err
			}
			reason = "" // nobody can sign now: the next revision will say who does
		} else if cert, err = n.certificateBy(ca, n.opt.Timing.CertLife); err != nil {
			return err
		}
	}
	if reason == "" && a.Revision == held.revision {
		return nil
	}
	fresh := newCredentials(a.Revision, trusted, cert)
	if err := fresh.store(n.opt.Dir); err != nil {
		return fmt.Errorf("keeping the member's certificate: %w", err)
	}
	n.guard.ring.set(fresh)
	if reason != "" {
		n.metrics.renewals.Inc()
		n.log.Info("this member has a new certificate for the cluster port", "because", reason,
			"until", date(cert.Leaf.NotAfter), "authority", short(fresh.issuedBy()))
	}
	if slices.ContainsFunc(held.trusted, func(ca *x509.Certificate) bool { return !fresh.trusts(fingerprint(ca.Raw)) }) {
		n.log.Info("an authority of the group is trusted no more", "trusted", len(fresh.trusted))
		if n.port != nil {
			n.port.hangUpIf(func(cs tls.ConnectionState) bool { return n.guard.still(cs) != nil })
		}
	}
	return nil
}

// renewalReason says why the certificate should be renewed now, "" if it
// should not.
func (n *Node) renewalReason(held *credentials) string {
	leaf, now := held.cert.Leaf, n.opt.wall()
	ought := validFor(n.opt.Timing.CertLife, n.clocks())
	switch {
	case now.Before(leaf.NotBefore):
		return "this machine's clock was set back"
	case now.After(renewalDue(leaf, n.opt.Timing.CertLife)):
		return "two thirds of its life are over"
	case leaf.NotAfter.After(ought.to.Add(2 * skew)):
		return "it would live for too long"
	}
	return ""
}

// renewalDue is when two thirds of the life of a certificate are over.
func renewalDue(cert *x509.Certificate, life time.Duration) time.Time {
	return cert.NotAfter.Add(-life / 3)
}

// certificateBy makes a new key and has it signed.
func (n *Node) certificateBy(ca *authority, life time.Duration) (tls.Certificate, error) {
	key, csr, err := newMemberKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := ca.sign(csr, n.id.ClusterID, n.id.NodeID, validFor(life, n.clocks()))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing the member's certificate: %w", err)
	}
	return memberKeyPair(der, key)
}

// mintFor gives a certificate by the authority that a new member's token pins,
// for this one connection.
func (n *Node) mintFor(pin string) (*tls.Certificate, error) {
	var a authorities
	err := n.look(func(tx *keyspace.Tx) error {
		var err error
		a, _, err = readAuthorities(tx, n.guard.ring.creds())
		return err
	})
	if err != nil {
		return nil, err
	}
	ca, err := a.find(pin)
	if err != nil {
		return nil, err
	}
	cert, err := n.certificateBy(ca, time.Hour)
	if err != nil {
		return nil, err
	}
	cert.Certificate = append(cert.Certificate, ca.cert.Raw)
	return &cert, nil
}
