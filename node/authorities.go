package node

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strconv"

	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// authoritiesKey holds the group's certificate authorities with their keys:
// hash, revision to JSON. The highest revision counts. One is written with
// HSETNX, so that of two leaders, of which one does not know yet that it is
// none any more, only one decides what a revision is.
const (
	authoritiesKey = "secret:authorities"
	firstCAKey     = "secret:ca" // the key alone, PEM: groups formed by the first versions
)

// authorities is a revision. At rest there is one authority; while it is being
// replaced there are two, both trusted, and Target is to remain.
type authorities struct {
	Revision uint64         `json:"revision"`
	Signer   string         `json:"signer"` // fingerprint of the one that signs now
	Target   string         `json:"target"` // … of the one that is to remain
	All      []authorityDoc `json:"all"`
	// Without names members that are not waited for: somebody decided to go
	// on while they did not answer.
	Without []string `json:"without,omitempty"`
}

// authorityDoc is an authority in DER. Without a key it is trusted, but signs
// no more.
type authorityDoc struct {
	Cert []byte `json:"cert"`
	Key  []byte `json:"key,omitempty"`
}

func (a *authority) doc() (authorityDoc, error) {
	key, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return authorityDoc{}, fmt.Errorf("encoding the authority's key: %w", err)
	}
	return authorityDoc{Cert: a.cert.Raw, Key: key}, nil
}

// atRest is a revision with one authority alone.
func atRest(revision uint64, ca authorityDoc) authorities {
	fp := fingerprint(ca.Cert)
	return authorities{Revision: revision, Signer: fp, Target: fp, All: []authorityDoc{ca}}
}

func (a authorities) resting() bool { return len(a.All) == 1 }

func (a authorities) certs() [][]byte {
	out := make([][]byte, len(a.All))
	for i, ca := range a.All {
		out[i] = ca.Cert
	}
	return out
}

// find gives the authority whose fingerprint begins with prefix; nil if there
// is none that could sign.
func (a authorities) find(prefix string) (*authority, error) {
	for _, ca := range a.All {
		if fp := fingerprint(ca.Cert); len(ca.Key) > 0 && len(fp) >= len(prefix) && fp[:len(prefix)] == prefix {
			return loadAuthority(ca.Cert, ca.Key)
		}
	}
	return nil, fail(CodeInternal, "the group's state has no key of the authority "+short(prefix)+" now; try again when ca rotate is done")
}

func (a authorities) signer() (*authority, error) { return a.find(a.Signer) }

// short is a fingerprint as people read it.
func short(fp string) string { return fp[:min(12, len(fp))] }

// readAuthorities gives the latest revision of a state. Without any, the
// revision is that of a group formed by a first version, whose authority's
// certificate is held by the members only; ok is false if there is none either.
func readAuthorities(tx *keyspace.Tx, held *credentials) (a authorities, ok bool, err error) {
	var latest []byte
	err = tx.HEach([]byte(authoritiesKey), func(field, value []byte) bool {
		if revision, err := strconv.ParseUint(string(field), 10, 64); err == nil && revision > a.Revision {
			a.Revision, latest = revision, bytes.Clone(value)
		}
		return true
	})
	if err != nil {
		return authorities{}, false, err
	}
	if latest != nil {
		if err := json.Unmarshal(latest, &a); err != nil {
			return authorities{}, false, fmt.Errorf("reading the group's authorities: %w", err)
		}
		return a, true, nil
	}
	text, ok, err := tx.Get([]byte(firstCAKey))
	if err != nil || !ok {
		return authorities{}, false, err
	}
	b, _ := pem.Decode(text)
	if b == nil || held.revision != 0 || len(held.trusted) != 1 {
		return authorities{}, false, nil
	}
	return atRest(0, authorityDoc{Cert: held.trusted[0].Raw, Key: bytes.Clone(b.Bytes)}), true, nil
}

// authorities reads the latest revision that this member knows of.
func (n *Node) authorities() (a authorities, ok bool, err error) {
	held := n.guard.ring.creds()
	err = n.look(func(tx *keyspace.Tx) error {
		a, ok, err = readAuthorities(tx, held)
		return err
	})
	return a, ok, err
}

// signing gives the authorities, of which one must be able to sign.
func (n *Node) signing() (authorities, *authority, error) {
	a, ok, err := n.authorities()
	if err != nil {
		return a, nil, err
	}
	if !ok {
		return a, nil, fail(CodeInternal, "the group's state has no certificate authority")
	}
	if !n.fits(a) {
		return a, nil, fail(CodeInternal, "the group's state has the authorities of another time; the leader is making new ones: try again")
	}
	ca, err := a.signer()
	return a, ca, err
}

// fits says whether a revision continues what this member trusts. One of a
// state that was restored from a backup need not.
func (n *Node) fits(a authorities) bool {
	held := n.guard.ring.creds()
	if a.Revision < held.revision {
		return false
	}
	for _, cert := range a.certs() {
		if held.trusts(fingerprint(cert)) {
			return true
		}
	}
	return false
}

// writeAuthorities proposes the next revision and forgets the one before. If
// another leader was faster, that is fine: its revision counts. What is also to be
// done is done in the same step.
func (n *Node) writeAuthorities(ctx context.Context, a authorities, also ...command.Args) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encoding the group's authorities: %w", err)
	}
	revision := strconv.FormatUint(a.Revision, 10)
	cmds := []command.Args{{[]byte("HSETNX"), []byte(authoritiesKey), []byte(revision), body}}
	if a.Revision > 0 {
		err := n.look(func(tx *keyspace.Tx) error {
			return tx.HEach([]byte(authoritiesKey), func(field, _ []byte) bool {
				if old, err := strconv.ParseUint(string(field), 10, 64); err == nil && old < a.Revision {
					cmds = append(cmds, command.New("HDEL", authoritiesKey, string(field)))
				}
				return true
			})
		})
		if err != nil {
			return err
		}
	}
	return n.write(ctx, append(append(cmds, command.New("DEL", firstCAKey)), also...)...)
}
