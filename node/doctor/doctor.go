package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Status of a finding.
const (
	OK   = "ok"
	Warn = "warn" // it works, but not as well or as long as it could
	Fail = "fail" // data or service are in danger
	Skip = "skip" // could not be found out here
)

// Finding is one thing that was looked at.
type Finding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what to do; "" if nothing
}

// Patient is what is looked at.
type Patient struct {
	Dir     string            // data folder; need not exist yet
	Running bool              // the member runs now
	Listen  map[string]string // addresses it listens on, by what for
	Peers   map[string]string // cluster addresses of the other members, by node id
	// Answers says which of the peers answered a running member; nil: it was
	// not asked, they are dialled.
	Answers map[string]bool
	Leader  string // node id, "" if the running member knows none
	// Clock is the group's time now, ms since 1970; 0: not known.
	Clock int64
	// Certificates are PEM files with the certificates to look at, by what
	// for. A file that does not exist is left out.
	Certificates map[string]string
}

// Thresholds.
const (
	fsyncs       = 64
	fsyncBytes   = 4096
	fsyncBudget  = 3 * time.Second // for all of them
	slowFsync    = 10 * time.Millisecond
	badFsync     = 100 * time.Millisecond
	lowDisk      = 2 << 30 // bytes
	lowDiskShare = 10      // percent
	clockOff     = 2 * time.Second
	certSoon     = 30 * 24 * time.Hour
	dialTime     = 3 * time.Second
	fewFiles     = 65536
	tooFewFiles  = 4096
	littleMemory = 1 << 30
)

// Examine looks at everything; in the order in which it matters.
func Examine(ctx context.Context, p Patient) []Finding {
	var out []Finding
	add := func(f ...Finding) { out = append(out, f...) }
	disk, where := p.folder()
	add(disk)
	if where != "" {
		add(fileSystem(where)...)
		add(space(where))
		if disk.Status != Fail {
			add(fsync(where))
		}
	}
	add(p.clock()...)
	add(limits()...)
	add(memoryFindings()...)
	add(processors())
	add(p.ports()...)
	add(p.certificates(time.Now())...)
	add(p.peers(ctx)...)
	return out
}

// Healthy says whether nothing has failed.
func Healthy(found []Finding) bool {
	return !slices.ContainsFunc(found, func(f Finding) bool { return f.Status == Fail })
}

// folder looks at the data folder. where is the folder, or the nearest one
// above it that exists.
func (p Patient) folder() (f Finding, where string) {
	f = Finding{Check: "data folder", Status: OK, Found: p.Dir}
	info, err := os.Stat(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		where, err = filepath.Abs(p.Dir)
		for err == nil {
			if info, err := os.Stat(where); err == nil && info.IsDir() {
				f.Found = p.Dir + " does not exist yet"
				return f, where
			}
			if filepath.Dir(where) == where {
				break
			}
			where = filepath.Dir(where)
		}
	}
	switch {
	case err != nil:
		f.Status, f.Found, f.Advice = Fail, err.Error(), "give the user that runs parlor access to the data folder"
		return f, ""
	case !info.IsDir():
		f.Status, f.Found, f.Advice = Fail, p.Dir+" is no folder", "give another path as --data-dir"
		return f, ""
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		f.Status, f.Found = Warn, fmt.Sprintf("%s can be read by others (mode %04o)", p.Dir, mode)
		f.Advice = "chmod 700 " + p.Dir
	}
	return f, p.Dir
}

// fsync measures how long the disk takes to keep a small write.
func fsync(dir string) Finding {
	f := Finding{Check: "fsync"}
	times, err := measureFsync(dir)
	if err != nil {
		f.Status, f.Found, f.Advice = Fail, err.Error(), "the data folder must be writable for the user that runs parlor"
		return f
	}
	slices.Sort(times)
	p50, p99, longest := times[len(times)/2], times[len(times)*99/100], times[len(times)-1]
	f.Status = OK
	f.Found = fmt.Sprintf("%d writes of %d bytes: p50 %s, p99 %s, longest %s", len(times), fsyncBytes, short(p50), short(p99), short(longest))
	switch {
	case p50 > badFsync:
		f.Status, f.Advice = Fail, "each write of the group waits for this: use a disk with power-loss protection, and nothing else on it"
	case p99 > slowFsync:
		f.Status, f.Advice = Warn, "each write of the group waits for this; disks made for databases take less than 1 ms"
	}
	return f
}

func measureFsync(dir string) (times []time.Duration, err error) {
	file, err := os.CreateTemp(dir, ".parlor-doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	block := make([]byte, fsyncBytes)
	began := time.Now()
	for len(times) < fsyncs && (len(times) == 0 || time.Since(began) < fsyncBudget) {
		started := time.Now()
		if _, err := file.Write(block); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(started))
	}
	return times, nil
}

func short(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

// clock compares this machine's clock with the group's.
func (p Patient) clock() []Finding {
	found := clockSource()
	if p.Clock == 0 {
		return found
	}
	f := Finding{Check: "clock and group", Status: OK}
	off := time.Since(time.UnixMilli(p.Clock)).Round(time.Millisecond)
	f.Found = fmt.Sprintf("this machine's clock is %s ahead of the group's", off)
	if off < 0 {
		f.Found = fmt.Sprintf("this machine's clock is %s behind the group's", -off)
	}
	if off.Abs() > clockOff {
		f.Status, f.Advice = Warn, "set the clocks of all machines by the same source; the group's own time follows slowly"
	}
	return append(found, f)
}

func processors() Finding {
	f := Finding{Check: "processors", Status: OK, Found: fmt.Sprintf("%d, of which parlor uses %d (GOMAXPROCS)", runtime.NumCPU(), runtime.GOMAXPROCS(0))}
	if runtime.GOMAXPROCS(0) < 2 {
		f.Status, f.Advice = Warn, "give it two processors or more: with one, a slow request holds up the log"
	}
	return f
}

// ports looks whether the addresses are free or, of a running member, served.
func (p Patient) ports() (out []Finding) {
	for _, what := range sortedKeys(p.Listen) {
		addr := p.Listen[what]
		f := Finding{Check: "port " + what, Status: OK, Found: addr + " is free"}
		if p.Running {
			f.Found = addr + " answers"
			conn, err := net.DialTimeout("tcp", reachable(addr), dialTime)
			if err != nil {
				f.Status, f.Found = Fail, addr+" does not answer: "+err.Error()
				f.Advice = "the node runs: look at its log for why it does not listen there"
			} else {
				_ = conn.Close()
			}
		} else if l, err := net.Listen("tcp", addr); err != nil {
			f.Status, f.Found, f.Advice = Fail, addr+" cannot be used: "+err.Error(), "find out who has the port (ss -ltnp), or give another address"
		} else {
			_ = l.Close()
		}
		out = append(out, f)
	}
	return out
}

// reachable is where to dial who listens at addr.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

func (p Patient) certificates(now time.Time) (out []Finding) {
	for _, what := range sortedKeys(p.Certificates) {
		path := p.Certificates[what]
		f := Finding{Check: "certificate " + what, Status: OK}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var cert *x509.Certificate
		if err == nil {
			cert, err = firstCertificate(content)
		}
		if err != nil {
			f.Status, f.Found, f.Advice = Fail, path+": "+err.Error(), "put the file back, or let the node join anew: parlor reset, parlor join"
			out = append(out, f)
			continue
		}
		f.Found = fmt.Sprintf("valid to %s", cert.NotAfter.UTC().Format(time.DateOnly))
		switch left := cert.NotAfter.Sub(now); {
		case now.Before(cert.NotBefore):
			f.Status, f.Found, f.Advice = Fail, "not valid before "+cert.NotBefore.UTC().Format(time.RFC3339), "set this machine's clock"
		case left <= 0:
			f.Status, f.Found, f.Advice = Fail, "expired on "+cert.NotAfter.UTC().Format(time.DateOnly), renewal(what)
		case left < certSoon:
			f.Status, f.Advice = Warn, renewal(what)
		}
		out = append(out, f)
	}
	return out
}

func renewal(what string) string {
	if what == "authority" {
		return "parlor ca rotate makes a new authority while the group runs"
	}
	return "a running node renews its own; if it does not: parlor cert renew"
}

// firstCertificate looks for the first certificate of a PEM file; there may be
// keys beside it.
func firstCertificate(content []byte) (*x509.Certificate, error) {
	for b, rest := pem.Decode(content); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			return x509.ParseCertificate(b.Bytes)
		}
	}
	return nil, errors.New("it holds no certificate")
}

// peers looks whether the other members can be reached.
func (p Patient) peers(ctx context.Context) (out []Finding) {
	for _, id := range sortedKeys(p.Peers) {
		addr := p.Peers[id]
		f := Finding{Check: fmt.Sprintf("node %.8s", id), Status: OK, Found: addr + " answers"}
		if !p.reached(ctx, id, addr) {
			f.Status, f.Found = Fail, addr+" does not answer"
			f.Advice = "start the node there, or open the cluster port between the machines"
		}
		out = append(out, f)
	}
	if p.Running && p.Leader == "" {
		out = append(out, Finding{Check: "leader", Status: Fail, Found: "the node knows no leader: nothing can be written",
			Advice: "more than half of the nodes must reach each other; if they are lost for good, see parlor recover --help"})
	}
	return out
}

func (p Patient) reached(ctx context.Context, id, addr string) bool {
	if p.Answers != nil {
		return p.Answers[id]
	}
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
