package node

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parlorchat/parlor/storage/command"
)

// machineClock is a machine's clock that people set.
type machineClock struct{ off atomic.Int64 }

func (c *machineClock) now() time.Time        { return time.Now().Add(time.Duration(c.off.Load())) }
func (c *machineClock) set(off time.Duration) { c.off.Store(int64(off)) }
func (c *machineClock) tune(o *Options)       { o.wall = c.now }
func days(n int) time.Duration                { return time.Duration(n) * 24 * time.Hour }
func (g *group) dirs() []string               { return mapped(g.members, func(m *Node) string { return m.opt.Dir }) }
func (g *group) certs(m *Node) Certificates {
	c, err := m.Certificates(g.t.Context())
	must(g.t, err)
	return c
}
func mapped[T, U any](in []T, f func(T) U) []U {
	out := make([]U, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// waitStage waits until a rotation is where it should be, as one member sees it.
func (g *group) waitStage(m *Node, stage string) {
	g.t.Helper()
	g.wait("the stage "+stage, func() bool { return g.certs(m).Stage == stage })
}

// writing has a client at each member write without a pause until stop is
// called, which fails the test if a single write failed.
func (g *group) writing() (stop func()) {
	ctx, cancel := context.WithCancel(g.t.Context())
	var clients sync.WaitGroup
	for i, m := range g.members {
		clients.Go(func() {
			n := 0
			for ; ctx.Err() == nil; n++ {
				if _, err := try(g.t.Context(), m, "INCR", "written-"+strconv.Itoa(i)); err != nil {
					g.t.Errorf("a write failed: %v", err)
					return
				}
			}
			if got := get(g.t, m, "written-"+strconv.Itoa(i)); got != strconv.Itoa(n) {
				g.t.Errorf("%d writes were acknowledged, the counter says %s", n, got)
			}
		})
	}
	return func() { cancel(); clients.Wait() }
}

func TestMembersRenewTheirCertificatesWhileTheyWork(t *testing.T) {
	t.Parallel()
	clock := &machineClock{}
	g := form(t, 3, clock.tune)
	before := map[string]string{}
	for _, c := range g.certs(g.members[0]).Members {
		before[c.ID] = c.Serial
	}
	stop := g.writing()
	clock.set(days(61))
	g.wait("new certificates", func() bool {
		for _, c := range g.certs(g.members[0]).Members {
			if c.Serial == "" || c.Serial == before[c.ID] {
				return false
			}
		}
		return true
	})
	// The connections that are open were made with them, or are made anew
	// when they are used next.
	g.wait("connections with the new certificates", func() bool {
		for _, m := range g.members {
			old := false
			m.port.hangUpIf(func(cs tls.ConnectionState) bool {
				for _, peer := range cs.PeerCertificates[:min(1, len(cs.PeerCertificates))] {
					old = old || cs.NegotiatedProtocol == protoWrites && before[peerID(cs)] == peer.SerialNumber.Text(16)
				}
				return false
			})
			if old {
				return false
			}
		}
		return true
	})
	stop()
	g.converge()
	for _, c := range g.certs(g.members[0]).Members {
		if left := c.NotAfter.Sub(clock.now()); left < days(89) || left > days(93) {
			t.Errorf("the new certificate ends in %v", left)
		}
		if due := c.Renews.Sub(clock.now()); due < days(58) || due > days(62) {
			t.Errorf("it is renewed in %v", due)
		}
	}
}

func TestACertificateIsRenewedWhenSomebodyAsks(t *testing.T) {
	t.Parallel()
	g := form(t, 2, nil)
	first := g.certs(g.members[0]).Members
	one, err := g.members[1].RenewCertificates(t.Context(), false)
	must(t, err)
	if len(one) != 1 || one[0].ID != g.members[1].NodeID() {
		t.Fatalf("renewed %v", one)
	}
	all, err := g.members[0].RenewCertificates(t.Context(), true)
	must(t, err)
	for i, c := range all {
		if c.ID != first[i].ID || c.Serial == first[i].Serial || c.Serial == one[0].Serial {
			t.Errorf("member %s has the certificate it had before", c.ID)
		}
	}
	g.do(g.members[1], "SET", "k", "v")
}

func TestAGroupThatWasSwitchedOffForAYearStarts(t *testing.T) {
	t.Parallel()
	clock := &machineClock{}
	g := form(t, 3, clock.tune)
	g.do(g.members[0], "SET", "k", "v")
	dirs := g.dirs()
	for i := range g.members {
		must(t, g.members[i].Close(t.Context()))
		g.members[i] = nil
	}
	clock.set(days(400))
	for i, dir := range dirs {
		g.restart(i, dir)
	}
	for _, m := range g.members {
		must(t, m.WaitReady(t.Context()))
		if got := get(t, m, "k"); got != "v" {
			t.Errorf("after a year k is %q", got)
		}
	}
	g.do(g.members[2], "SET", "k", "w")
}

func TestAMachineWithAWrongClockStaysInTheGroup(t *testing.T) {
	t.Parallel()
	for what, off := range map[string]time.Duration{"years ahead": days(1200), "in the past": -days(9000)} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			clock := &machineClock{}
			g := form(t, 2, nil)
			g.tune = clock.tune
			clock.set(off)
			g.join()
			g.waitVoters(3)
			last := g.members[2]
			g.do(last, "SET", "k", "v")
			dir := last.opt.Dir
			must(t, last.Close(t.Context()))
			g.members[2] = nil
			g.restart(2, dir)
			g.do(g.members[2], "SET", "k", "w")
			g.do(g.members[0], "SET", "k", "x")

			// Somebody sets it right: the certificate is made for the right time.
			clock.set(0)
			g.wait("a certificate of the usual life", func() bool {
				leaf := g.members[2].guard.ring.creds().cert.Leaf
				return leaf.NotBefore.Before(time.Now()) && time.Until(leaf.NotAfter) < days(94) && time.Until(leaf.NotAfter) > days(60)
			})
			g.do(g.members[2], "SET", "k", "y")
		})
	}
}

func TestTheAuthorityIsReplacedWhileEverybodyWrites(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	first := g.certs(g.members[0]).Authorities[0].Fingerprint
	stop := g.writing()
	must(t, g.members[g.follower()].RotateCA(t.Context(), RotateOptions{}))
	g.wait("the end of the rotation", func() bool {
		c := g.certs(g.members[0])
		return c.Stage == StageRest && c.Authorities[0].Fingerprint != first
	})
	g.wait("every member to trust the new authority alone", func() bool {
		for _, m := range g.members {
			if c := m.guard.ring.creds(); len(c.trusted) != 1 || c.issuedBy() == first || c.issuedBy() == "" {
				return false
			}
		}
		return true
	})
	// Nobody is connected any more by what the old one has signed.
	g.wait("the end of connections by the old one", func() bool {
		left := 0
		for _, m := range g.members {
			m.port.hangUpIf(func(cs tls.ConnectionState) bool {
				if m.guard.still(cs) != nil {
					left++
				}
				return false
			})
		}
		return left == 0
	})
	stop()
	g.converge()

	// A token from before is told to be of no use; a new one is good.
	_, err := Join(t.Context(), g.options(filepath.Join(t.TempDir(), "m")), g.members[0].Cluster(), g.token)
	wantCode(t, err, CodeWrongCA)
	tokens, err := g.members[0].Tokens(t.Context())
	must(t, err)
	if len(tokens) != 0 {
		t.Errorf("tokens of the old authority are listed: %v", tokens)
	}
	g.token, err = g.members[1].CreateToken(t.Context(), 0, 0)
	must(t, err)
	g.join()
	g.waitVoters(4)

	// A restart finds all of it on disk.
	l := g.leader()
	dir := g.members[l].opt.Dir
	g.kill(l)
	g.restart(l, dir)
	g.do(g.members[l], "SET", "k", "v")
}

func TestARotationWaitsForAMemberThatIsDown(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	dir, id := g.members[f].opt.Dir, g.members[f].NodeID()
	g.kill(f)
	m := g.members[g.leader()]
	must(t, m.RotateCA(t.Context(), RotateOptions{}))
	g.wait("waiting for the one that is down alone", func() bool {
		c := g.certs(m)
		return c.Stage == StageDistribute && len(c.Waiting) == 1 && c.Waiting[0] == id
	})
	wantCode(t, m.RotateCA(t.Context(), RotateOptions{}), CodeInvalid) // one at a time

	// Tokens of both authorities open the group meanwhile.
	old := g.token
	var err error
	g.token, err = m.CreateToken(t.Context(), 0, 0)
	must(t, err)
	if strings.HasPrefix(g.token, old[:40]) {
		t.Fatal("the new token pins the authority that is about to go")
	}
	for _, token := range []string{old, g.token} {
		_, err := Join(t.Context(), g.options(filepath.Join(t.TempDir(), "m")), m.Cluster(), token)
		must(t, err)
	}

	g.restart(f, dir)
	g.waitStage(m, StageRest)
	g.do(g.members[f], "SET", "k", "v")
	g.converge()
}

func TestARotationCanBeTakenBack(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	f := g.follower()
	dir := g.members[f].opt.Dir
	g.kill(f)
	m := g.members[g.leader()]
	before := g.certs(m).Authorities[0].Fingerprint
	wantCode(t, m.RotateCA(t.Context(), RotateOptions{Back: true}), CodeInvalid)
	must(t, m.RotateCA(t.Context(), RotateOptions{}))
	g.waitStage(m, StageDistribute)
	must(t, m.RotateCA(t.Context(), RotateOptions{Back: true}))
	g.restart(f, dir)
	g.waitStage(m, StageRest)
	if c := g.certs(m); c.Authorities[0].Fingerprint != before {
		t.Errorf("the authority is %s, not the one before", c.Authorities[0].Fingerprint)
	}
	g.do(g.members[f], "SET", "k", "v")
}

// A member that is left behind is told what to do, and one command brings it back.
func TestAMemberThatMissedTheRotationComesBackWithAToken(t *testing.T) {
	t.Parallel()
	var log safeBuilder
	g := form(t, 3, nil)
	f := g.follower()
	dir, id := g.members[f].opt.Dir, g.members[f].NodeID()
	g.kill(f)
	m := g.members[g.leader()]
	wantCode(t, m.RotateCA(t.Context(), RotateOptions{Force: true}), CodeInvalid) // nothing to go on with
	must(t, m.RotateCA(t.Context(), RotateOptions{}))
	g.waitStage(m, StageDistribute)
	must(t, m.RotateCA(t.Context(), RotateOptions{Force: true}))
	g.waitStage(m, StageRest)

	g.tune = func(o *Options) { o.Log = log.logger() }
	g.restart(f, dir)
	g.wait("the left-behind member to say what to do", func() bool { return strings.Contains(log.String(), "parlor cert renew --server") })
	g.tune = nil
	_, err := RenewBy(t.Context(), dir, m.Cluster(), g.token)
	wantCode(t, err, CodeLocked)
	g.kill(f)

	_, err = RenewBy(t.Context(), dir, m.Cluster(), g.token)
	wantCode(t, err, CodeWrongCA)
	token, err := m.CreateToken(t.Context(), 0, 0)
	must(t, err)
	got, err := RenewBy(t.Context(), dir, m.Cluster(), token)
	must(t, err)
	if got.ID != id || got.Authority != g.certs(m).Authorities[0].Fingerprint {
		t.Fatalf("got the certificate %+v", got)
	}
	g.restart(f, dir)
	g.do(g.members[f], "SET", "k", "v")
	g.converge()
	other := form(t, 1, nil)
	theirs, err := other.members[0].CreateToken(t.Context(), 0, 0)
	must(t, err)
	g.kill(f)
	_, err = RenewBy(t.Context(), dir, other.members[0].Cluster(), theirs)
	wantCode(t, err, CodeWrongCluster)
	g.restart(f, dir)
	g.do(g.members[f], "SET", "k", "w")
}

// A backup from before a rotation brings back authorities that nobody trusts
// any more: the group makes itself a new one.
func TestAuthoritiesOfAnotherTimeAreReplaced(t *testing.T) {
	t.Parallel()
	g := form(t, 3, nil)
	m := g.members[g.leader()]
	trusted := g.certs(m).Authorities[0].Fingerprint
	foreign, err := newAuthority("another", validFor(caLife, m.clocks()))
	must(t, err)
	doc, err := foreign.doc()
	must(t, err)
	must(t, m.write(t.Context(), command.New("HDEL", authoritiesKey, "1")))
	must(t, m.writeAuthorities(t.Context(), atRest(1, doc)))
	g.wait("a new authority", func() bool {
		c := g.certs(m)
		fp := c.Authorities[0].Fingerprint
		return c.Stage == StageRest && fp != trusted && fp != fingerprint(foreign.cert.Raw)
	})
	for _, m := range g.members {
		g.wait("certificates by it", func() bool { return m.guard.ring.creds().issuedBy() == g.certs(m).Authorities[0].Fingerprint })
		g.do(m, "SET", "k", m.NodeID())
	}
	g.token, err = m.CreateToken(t.Context(), 0, 0)
	must(t, err)
	g.join()
}

func TestAnAuthorityIsReplacedBeforeItEnds(t *testing.T) {
	t.Parallel()
	clock := &machineClock{}
	g := form(t, 2, clock.tune)
	m := g.members[0]
	first := g.certs(m).Authorities[0].Fingerprint
	clock.set(days(365 * 7))
	g.wait("another authority", func() bool {
		c := g.certs(m)
		return c.Stage == StageRest && c.Authorities[0].Fingerprint != first
	})
	g.do(g.members[1], "SET", "k", "v")
}

// The layout of the first versions: the key alone in the state, and three files.
func TestAGroupOfTheFirstVersionsGoesOn(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	m := g.members[0]
	a, ca, err := m.signing()
	must(t, err)
	doc, err := ca.doc()
	must(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: doc.Key})
	must(t, m.write(t.Context(), command.Args{[]byte("SET"), []byte(firstCAKey), text}, command.New("HDEL", authoritiesKey, "1")))
	dir := m.opt.Dir
	must(t, m.Close(t.Context()))
	g.members[0] = nil
	folder := filepath.Join(dir, pkiFolder)
	both, err := os.ReadFile(filepath.Join(folder, memberFile))
	must(t, err)
	cert, key := pem.Decode(both)
	must(t, os.WriteFile(filepath.Join(folder, "node.crt"), pem.EncodeToMemory(cert), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "node.key"), key, 0o600))
	must(t, os.WriteFile(filepath.Join(folder, trustFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: doc.Cert}), 0o600))
	must(t, os.Remove(filepath.Join(folder, memberFile)))

	g.restart(0, dir)
	m = g.members[0]
	must(t, m.WaitReady(t.Context()))
	if c := g.certs(m); c.Revision != 0 || c.Authorities[0].Fingerprint != a.Signer {
		t.Fatalf("it has the authorities %+v", c)
	}
	g.join()
	g.waitVoters(2)
	must(t, m.RotateCA(t.Context(), RotateOptions{}))
	g.wait("the rotation", func() bool { c := g.certs(m); return c.Stage == StageRest && c.Revision > 0 })
	if got := get(t, m, firstCAKey); got != "" {
		t.Error("the key of the old authority is still there")
	}
	if _, err := os.Stat(filepath.Join(folder, "node.key")); !os.IsNotExist(err) {
		t.Error("the key that was replaced is still there")
	}
}
