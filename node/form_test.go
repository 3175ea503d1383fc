package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAGroupIsFormedOnce(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	dir := g.members[0].opt.Dir
	must(t, g.members[0].Close(t.Context()))
	g.members[0] = nil

	_, err := Init(t.Context(), g.options(dir))
	wantCode(t, err, CodeFormed)
	_, err = Join(t.Context(), g.options(dir), "127.0.0.1:1", g.token)
	wantCode(t, err, CodeFormed)

	g.restart(0, dir)
	must(t, g.members[0].WaitReady(t.Context()))
}

func TestTwoProcessesCannotShareAFolder(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	_, err := Open(g.options(g.members[0].opt.Dir))
	wantCode(t, err, CodeLocked)
	_, err = Init(t.Context(), g.options(g.members[0].opt.Dir))
	wantCode(t, err, CodeLocked)
	g.do(g.members[0], "SET", "still", "fine")
}

func TestAnEmptyFolderBelongsToNobody(t *testing.T) {
	t.Parallel()
	g := &group{t: t}
	dir := t.TempDir()
	_, err := Open(g.options(dir))
	wantCode(t, err, CodeNotFormed)
	_, err = Inspect(filepath.Join(dir, "missing"))
	wantCode(t, err, CodeNotFormed)
}

func TestDataWithoutAnIdentityIsNotOverwritten(t *testing.T) {
	t.Parallel()
	g := &group{t: t}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, logFolder), 0o700))
	_, err := Init(t.Context(), g.options(dir))
	wantCode(t, err, CodeDamaged)
}

func TestAnInterruptedInitStartsOver(t *testing.T) {
	t.Parallel()
	g := &group{t: t}
	dir := t.TempDir()
	// What a crash in the middle leaves: an identity that is still forming,
	// and something in every folder.
	must(t, Identity{Format: 1, State: stateForming, ClusterID: "old", NodeID: "0b9d1a52-8a5d-4a4e-9f4b-111111111111"}.write(dir))
	for _, name := range []string{logFolder, tableFolder, pkiFolder} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name, "half"), []byte("x"), 0o600))
	}
	_, err := Open(g.options(dir))
	wantCode(t, err, CodeNotFormed)
	_, err = Init(t.Context(), g.options(dir))
	must(t, err)
	g.members = []*Node{g.start(dir)}
	defer g.kill(0)
	must(t, g.members[0].WaitReady(t.Context()))
}

func TestAMemberNeedsAnAddressThatOthersCanReach(t *testing.T) {
	t.Parallel()
	g := &group{t: t}
	for _, addr := range []string{"", "0.0.0.0:7400", ":7400", "nohost"} {
		o := g.options(filepath.Join(t.TempDir(), "m"))
		o.Cluster = addr
		_, err := Init(t.Context(), o)
		wantCode(t, err, CodeInvalid)
	}
}

func TestOnlyAGoodTokenLetsAMemberIn(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	other := form(t, 1, nil)
	m := g.members[0]
	good, err := parseToken(g.token)
	must(t, err)

	wrongSecret := good
	wrongSecret.secret = randomText(32)
	unknown := good
	unknown.id = randomText(6)

	revoked, err := m.CreateToken(t.Context(), 0, 0)
	must(t, err)
	rt, err := parseToken(revoked)
	must(t, err)
	must(t, m.RevokeToken(t.Context(), rt.id))
	wantCode(t, m.RevokeToken(t.Context(), rt.id), CodeBadToken)

	expired := newToken(good.fingerprint)
	must(t, m.write(t.Context(), m.tokenCommands(expired, time.Millisecond)...))
	g.wait("the token to expire", func() bool { _, err := m.checkToken(expired.id, expired.secret); return err != nil })

	for _, c := range []struct {
		what, token, code string
	}{
		{"nonsense", "K10nonsense", CodeBadToken},
		{"an empty token", "", CodeBadToken},
		{"a wrong secret", wrongSecret.String(), CodeBadToken},
		{"an unknown token", unknown.String(), CodeBadToken},
		{"a revoked token", revoked, CodeBadToken},
		{"an expired token", expired.String(), CodeTokenExpired},
		{"another group's token", other.token, CodeWrongCA},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "m")
			_, err := Join(t.Context(), g.options(dir), m.Cluster(), c.token)
			wantCode(t, err, c.code)
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the failed join has left something behind: %v", err)
			}
		})
	}
	if v, _ := m.voters(); v != 1 || len(m.servers()) != 1 {
		t.Fatalf("a failed join changed the group: %v", m.servers())
	}
	_, err = Join(t.Context(), g.options(t.TempDir()), "127.0.0.1:1", g.token)
	wantCode(t, err, CodeUnreachable)
}

// A token for two lets in two, however many come at once, and nobody after
// them; who was refused for another reason has used nothing up.
func TestATokenIsUsedUp(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	m := g.members[0]
	text, err := m.CreateToken(t.Context(), 0, 2)
	must(t, err)
	made, err := parseToken(text)
	must(t, err)
	wrong := made
	wrong.secret = randomText(32)
	_, err = Join(t.Context(), g.options(t.TempDir()), m.Cluster(), wrong.String())
	wantCode(t, err, CodeBadToken)
	outcomes := make(chan error)
	for range 5 {
		dir := t.TempDir()
		go func() {
			_, err := Join(t.Context(), g.options(dir), m.Cluster(), text)
			outcomes <- err
		}()
	}
	in := 0
	for range 5 {
		if err := <-outcomes; err == nil {
			in++
		} else {
			wantCode(t, err, CodeTokenUsed)
		}
	}
	if in != 2 {
		t.Errorf("a token for two has let in %d", in)
	}
	_, err = m.CreateToken(t.Context(), 0, -1)
	wantCode(t, err, CodeInvalid)
}

func TestTokensAreListedWithoutTheirSecret(t *testing.T) {
	t.Parallel()
	g := form(t, 1, nil)
	m := g.members[0]
	text, err := m.CreateToken(t.Context(), time.Minute, 0)
	must(t, err)
	made, err := parseToken(text)
	must(t, err)
	list, err := m.Tokens(t.Context())
	must(t, err)
	if len(list) != 2 { // the one of init, too
		t.Fatalf("got %d tokens, want 2", len(list))
	}
	for _, l := range list {
		if l.ID == made.id && l.ExpiresAt-l.CreatedAt != time.Minute.Milliseconds() {
			t.Errorf("the token lives for %d ms", l.ExpiresAt-l.CreatedAt)
		}
	}
	_, err = m.CreateToken(t.Context(), 90*24*time.Hour, 0)
	wantCode(t, err, CodeInvalid)
}

func TestAFolderOfAnotherGroupIsRefused(t *testing.T) {
	t.Parallel()
	a, b := form(t, 1, nil), form(t, 1, nil)
	dirA, dirB := a.members[0].opt.Dir, b.members[0].opt.Dir
	must(t, a.members[0].Close(t.Context()))
	must(t, b.members[0].Close(t.Context()))
	a.members[0], b.members[0] = nil, nil

	must(t, os.RemoveAll(filepath.Join(dirA, logFolder)))
	must(t, os.Rename(filepath.Join(dirB, logFolder), filepath.Join(dirA, logFolder)))
	_, err := Open(a.options(dirA))
	wantCode(t, err, CodeWrongCluster)

	must(t, os.RemoveAll(filepath.Join(dirA, pkiFolder)))
	must(t, os.Rename(filepath.Join(dirB, pkiFolder), filepath.Join(dirA, pkiFolder)))
	_, err = Open(a.options(dirA))
	wantCode(t, err, CodeWrongCluster)
}

func TestMembersOfDifferentGroupsDoNotTalk(t *testing.T) {
	t.Parallel()
	a, b := form(t, 1, nil), form(t, 1, nil)
	for _, proto := range []string{protoRaft, protoWrites, protoCalls} {
		conn, err := dialMember(t.Context(), a.members[0].guard, proto, "", b.members[0].Cluster())
		if err == nil {
			conn.Close()
		}
		wantCode(t, err, CodeWrongCluster)
	}
	// … and a member insists on whom it wants to talk to.
	g := form(t, 1, nil)
	_, err := dialMember(t.Context(), g.members[0].guard, protoCalls, "another", g.members[0].Cluster())
	wantCode(t, err, CodeUnreachable)
}
