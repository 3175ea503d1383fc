package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// finding looks for a check among findings.
func finding(t *testing.T, found []Finding, check string) Finding {
	t.Helper()
	for _, f := range found {
		if f.Check == check {
			return f
		}
	}
	t.Fatalf("%q was not looked at: %+v", check, found)
	return Finding{}
}

func want(t *testing.T, f Finding, status string) {
	t.Helper()
	if f.Status != status {
		t.Errorf("%s: %+v, want %s", f.Check, f, status)
	}
	if (status == Warn || status == Fail) && f.Advice == "" {
		t.Errorf("%s: what to do is not said: %+v", f.Check, f)
	}
}

func TestAnEmptyPlaceIsLookedAtAndLeftAsItIs(t *testing.T) {
	dir := t.TempDir()
	found := Examine(t.Context(), Patient{Dir: filepath.Join(dir, "not", "there", "yet")})
	want(t, finding(t, found, "data folder"), OK)
	if f := finding(t, found, "fsync"); !strings.Contains(f.Found, "p99") {
		t.Errorf("fsync: %+v", f)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
}

func TestAFolderThatOthersReadAndAFileInItsPlace(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	want(t, finding(t, Examine(t.Context(), Patient{Dir: dir}), "data folder"), Warn)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found := Examine(t.Context(), Patient{Dir: file})
	want(t, finding(t, found, "data folder"), Fail)
	if Healthy(found) {
		t.Error("a file in the place of the data folder is healthy")
	}
}

func TestPortsOfAStoppedAndOfARunningNode(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	gone := nobody(t)
	listen := map[string]string{"HTTP": taken.Addr().String(), "RESP": gone}
	stopped := Patient{Listen: listen}.ports()
	want(t, finding(t, stopped, "port HTTP"), Fail)
	want(t, finding(t, stopped, "port RESP"), OK)
	running := Patient{Listen: listen, Running: true}.ports()
	want(t, finding(t, running, "port HTTP"), OK)
	want(t, finding(t, running, "port RESP"), Fail)
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	everywhere := Patient{Listen: map[string]string{"HTTP": "0.0.0.0:" + port}, Running: true}.ports()
	want(t, finding(t, everywhere, "port HTTP"), OK)
}

// nobody is an address at which nobody listens: on a loopback address of our
// own, where nobody else takes the port meanwhile.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.97.13.1:0")
	if err != nil {
		t.Skip("this system has one loopback address only: ", err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestPeers(t *testing.T) {
	up, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	down := nobody(t)
	p := Patient{Peers: map[string]string{"aaaa": up.Addr().String(), "bbbb": down}}
	found := p.peers(t.Context())
	want(t, finding(t, found, "node aaaa"), OK)
	want(t, finding(t, found, "node bbbb"), Fail)
	p.Running, p.Answers = true, map[string]bool{"bbbb": true}
	found = p.peers(t.Context())
	want(t, finding(t, found, "node aaaa"), Fail)
	want(t, finding(t, found, "node bbbb"), OK)
	want(t, finding(t, found, "leader"), Fail)
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	write := func(name string, from, to time.Time) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, certificate(t, from, to), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hour, year := time.Hour, 365*24*time.Hour
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := Patient{Certificates: map[string]string{
		"good": write("good", now.Add(-hour), now.Add(year)), "soon": write("soon", now.Add(-hour), now.Add(24*hour)),
		"over": write("over", now.Add(-2*hour), now.Add(-hour)), "early": write("early", now.Add(hour), now.Add(year)),
		"broken": broken, "none": filepath.Join(dir, "none"),
	}}
	found := p.certificates(now)
	for check, status := range map[string]string{"good": OK, "soon": Warn, "over": Fail, "early": Fail, "broken": Fail} {
		want(t, finding(t, found, "certificate "+check), status)
	}
	if len(found) != 5 {
		t.Errorf("a file that does not exist was found: %+v", found)
	}
}

// certificate makes one, with a key before it as in the files of nodes.
func certificate(t *testing.T, from, to time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
}

func TestClocksApart(t *testing.T) {
	for off, status := range map[time.Duration]string{0: OK, time.Hour: Warn, -time.Hour: Warn} {
		p := Patient{Clock: time.Now().Add(off).UnixMilli()}
		want(t, finding(t, p.clock(), "clock and group"), status)
	}
}
