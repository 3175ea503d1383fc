package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/resp"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/redis"
)

// Default addresses: nothing is reachable from elsewhere unless told to be.
const (
	DefaultHTTP    = "127.0.0.1:8080"
	DefaultRESP    = "127.0.0.1:6380"
	DefaultCluster = "127.0.0.1:7400"
)

// Options say how one member of a group serves. Dir is needed; the rest has
// defaults.
type Options struct {
	Dir     string   // data folder
	Cluster string   // address at which other members reach this one; empty: as kept in the data folder
	Listen  string   // listening address of the cluster port, where it differs
	Peers   []string // cluster addresses of others to ask where everybody is, after all were moved; usually none
	Name    string   // what people call this member; empty: the host's name

	HTTP         string // listening address; empty: as kept in the data folder, else DefaultHTTP
	RESP         string // the same for the Redis protocol, else DefaultRESP
	PublicURL    string // base URL at which browsers reach this member; empty: made from HTTP where that names a host
	RESPPassword string // what AUTH must give; empty: clients of this machine only
	HTTPCert     string // PEM files; if set, HTTP is spoken over TLS only. They are read again when they change
	HTTPKey      string
	RESPCert     string // the same for the Redis protocol
	RESPKey      string
	RESPSettings []string // names and values in turn, as CONFIG SET takes them
	RESPDebug    bool     // allow DEBUG, for test suites

	DiskReserve int64 // bytes of the disk to be kept free; 0: a tenth, at most 2 GiB; below 0: whatever
	TableQuota  int64 // bytes that the table may hold; 0: what fits
	Ballast     int64 // see node.Limits

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	NoRateLimits   bool           // for load tests
	Demo           string         // site that the demo shop shows; empty: no shop
	Seed           [][]string     // commands to propose once the member is ready; those that would make what exists are skipped

	Version string
	Log     *slog.Logger
	// RecentLog gives the last lines of the log, and Settings what the member
	// was told, without secrets: for a debug bundle. Both may be nil.
	RecentLog func() []byte
	Settings  map[string]string
	// Reload has the certificates of the doors read again. May be nil.
	Reload <-chan struct{}
	// Serving, if any, is called once the doors answer, which is before the
	// member knows a leader. alive says what is stuck inside the process.
	Serving func(alive func() error)
	// Ready, if any, is called once the member takes requests, with the
	// addresses it listens on.
	Ready func(httpAddr, respAddr string)
}

// Table is all the commands that a member understands.
func Table() *command.Table {
	return command.NewTable(redis.Commands(), core.Commands(), []command.Spec{command.LevelCommand()}, command.Unreleased())
}

// memberOptions is the part that a member of a group needs by itself.
func (o Options) memberOptions(table *command.Table) node.Options {
	return node.Options{
		Dir: o.Dir, Cluster: o.Cluster, Listen: o.Listen, Peers: o.Peers, Name: o.Name,
		Version: o.Version, Log: o.Log, Table: table, Renew: core.Renew,
		Limits: node.Limits{DiskFree: o.DiskReserve, TableQuota: o.TableQuota, Ballast: o.Ballast},
	}
}

// addresses are kept in the data folder by init and join, so that serve needs
// nothing but the folder.
type addresses struct {
	HTTP string `json:"http"`
	RESP string `json:"resp"`
}

const addressFile = "addresses.json"

func keepAddresses(dir string, a addresses) error {
	content, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the addresses: %w", err)
	}
	if err := node.WriteFile(filepath.Join(dir, addressFile), append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the addresses: %w", err)
	}
	return nil
}

// withAddresses fills in what was not given from what is kept, then from the
// defaults.
func (o Options) withAddresses() (Options, error) {
	var kept addresses
	content, err := os.ReadFile(filepath.Join(o.Dir, addressFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return o, fmt.Errorf("reading the kept addresses: %w", err)
	default:
		if err := json.Unmarshal(content, &kept); err != nil {
			return o, fmt.Errorf("reading %s: %w", filepath.Join(o.Dir, addressFile), err)
		}
	}
	o.HTTP = cmp.Or(o.HTTP, kept.HTTP, DefaultHTTP)
	o.RESP = cmp.Or(o.RESP, kept.RESP, DefaultRESP)
	return o, nil
}

// checkListening refuses addresses that are none, before anything is made.
func (o Options) checkListening() error {
	for flag, addr := range map[string]string{"HTTP": o.HTTP, "RESP": o.RESP} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return &node.Error{Code: node.CodeInvalid, Message: flag + " address " + addr + " is not of the form host:port"}
		}
	}
	return nil
}

// publicURL is where browsers reach this member, or empty if that cannot be
// told from the listening address.
func (o Options) publicURL(listening string) string {
	if o.PublicURL != "" {
		return o.PublicURL
	}
	host, _, err := net.SplitHostPort(listening)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		return ""
	}
	if o.HTTPCert != "" {
		return "https://" + listening
	}
	return "http://" + listening
}

// CheckRESP says which of RESPSettings cannot be.
func (o Options) CheckRESP() error { return resp.CheckSettings(o.RESPSettings...) }
