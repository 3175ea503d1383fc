package node

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"
	"github.com/parlorchat/parlor/storage/command"
)

// Forming a group is explicit and happens once: a group that formed itself
// whenever a member finds nobody would one day be two groups.

// Formed tells what Init has made. The two tokens are shown once and kept
// nowhere.
type Formed struct {
	ClusterID  string `json:"cluster_id"`
	NodeID     string `json:"node_id"`
	Cluster    string `json:"cluster"`     // address of the cluster port
	JoinToken  string `json:"join_token"`  // lets members join for an hour
	SetupToken string `json:"setup_token"` // lets the first administrator in, once
}

const formTimeout = 30 * time.Second

// Init forms a new group with this member alone, in a data folder that belongs
// to nobody. If it is interrupted, the folder still belongs to nobody and Init
// can be run again.
func Init(ctx context.Context, opts Options) (Formed, error) { return initGroup(ctx, opts, nil) }

// initGroup is Init; then, if any, is done with the new member before it is
// one for good.
func initGroup(ctx context.Context, opts Options, then func(*Node) error) (Formed, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return Formed{}, err
	}
	lock, err := lockFolder(opts.Dir)
	if err != nil {
		return Formed{}, err
	}
	defer lock.Close()
	if err := checkVacant(opts.Dir); err != nil {
		return Formed{}, err
	}
	if err := clearFolder(opts.Dir); err != nil {
		return Formed{}, err
	}
	id := Identity{Format: 1, State: stateForming, ClusterID: uuid.NewString(), NodeID: uuid.NewString(), Listen: opts.Listen}
	if id.Cluster, err = chooseAddress(opts); err != nil {
		return Formed{}, err
	}
	if err := id.write(opts.Dir); err != nil {
		return Formed{}, err
	}
	ca, err := formCredentials(opts, id)
	if err != nil {
		return Formed{}, err
	}
	formed, err := formState(ctx, opts, id, ca, then)
	if err != nil {
		return Formed{}, err
	}
	id.State, id.Level = stateMember, opts.Table.Levels().Newest
	return formed, id.write(opts.Dir) // last: from here on the folder is a member's
}

// checkVacant refuses a folder that belongs to a member, or might.
func checkVacant(dir string) error {
	id, err := readIdentity(dir)
	if err == nil {
		if id.State == stateMember {
			return fail(CodeFormed, fmt.Sprintf("%s already belongs to member %s of group %s", dir, id.NodeID, id.ClusterID))
		}
		return nil // an Init that was interrupted
	}
	if e := (*Error)(nil); !errors.As(err, &e) || e.Code != CodeNotFormed {
		return err
	}
	for _, name := range []string{logFolder, tableFolder} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fail(CodeDamaged, dir+" holds data but no "+identityFile+": give an empty folder, or restore that file")
		}
	}
	return nil
}

// clearFolder removes what an interrupted Init has left.
func clearFolder(dir string) error {
	for _, name := range []string{logFolder, tableFolder, pkiFolder, bootFile, bootsFile, copiedFile, restoringFile, identityFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("clearing what an interrupted init or reset has left: %w", err)
		}
	}
	return nil
}

// chooseAddress settles the address of the cluster port, and that it is free.
func chooseAddress(opts Options) (string, error) {
	if opts.Cluster == "" {
		return "", fail(CodeInvalid, "no cluster address was given")
	}
	if err := checkAdvertised(opts.Cluster); err != nil {
		return "", err
	}
	addr := opts.Listen
	if addr == "" {
		addr = opts.Cluster
	}
	ln, err := listen(addr)
	if err != nil {
		return "", err
	}
	defer ln.Close()
	host, portText, err := net.SplitHostPort(opts.Cluster)
	if err != nil || portText != "0" {
		return opts.Cluster, err
	}
	_, portText, err = net.SplitHostPort(ln.Addr().String())
	return net.JoinHostPort(host, portText), err
}

func formCredentials(opts Options, id Identity) (*authority, error) {
	clocks := []time.Time{opts.wall()}
	ca, err := newAuthority(id.ClusterID, validFor(caLife, clocks))
	if err != nil {
		return nil, err
	}
	key, csr, err := newMemberKey()
	if err != nil {
		return nil, err
	}
	der, err := ca.sign(csr, id.ClusterID, id.NodeID, validFor(opts.Timing.CertLife, clocks))
	if err != nil {
		return nil, err
	}
	cert, err := memberKeyPair(der, key)
	if err != nil {
		return nil, err
	}
	return ca, newCredentials(1, []*x509.Certificate{ca.cert}, cert).store(opts.Dir)
}

// formState runs the new member once, to write what every group begins with.
func formState(ctx context.Context, opts Options, id Identity, ca *authority, then func(*Node) error) (Formed, error) {
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	n, err := open(opts, id)
	if err != nil {
		return Formed{}, err
	}
	defer n.Close(context.WithoutCancel(ctx))
	conf := raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: raft.ServerID(id.NodeID), Address: raft.ServerAddress(id.Cluster),
	}}}
	if err := raft.BootstrapCluster(n.raftConfig(), n.logs, n.stable, n.snapshots, nil, conf); err != nil {
		return Formed{}, fmt.Errorf("beginning the log of the group: %w", err)
	}
	if err := n.start(ctx); err != nil {
		return Formed{}, err
	}
	if err := n.WaitReady(ctx); err != nil {
		return Formed{}, err
	}
	f := Formed{ClusterID: id.ClusterID, NodeID: id.NodeID, Cluster: id.Cluster, SetupToken: newSecret()}
	t := newToken(fingerprint(ca.cert.Raw))
	f.JoinToken = t.String()
	if err := n.writeFirst(ctx, ca, t, f.SetupToken); err != nil {
		return Formed{}, fmt.Errorf("writing the first entry of the group: %w", err)
	}
	if then != nil {
		if err := then(n); err != nil {
			return Formed{}, err
		}
	}
	return f, n.Close(ctx)
}

// writeFirst writes what a group begins with: its epoch, its feature level, the key of visitor
// tokens, the hash of the setup token, the authority's key, a join token.
func (n *Node) writeFirst(ctx context.Context, ca *authority, t token, setup string) error {
	doc, err := ca.doc()
	if err != nil {
		return err
	}
	setupHash := sha256.Sum256([]byte(setup))
	var cmds []command.Args
	if n.opt.Table.Find([]byte("SYSTEM.INIT")) != nil {
		cmds = append(cmds, command.New("SYSTEM.INIT", randomText(8), newSecret(), hex.EncodeToString(setupHash[:])))
	}
	if newest := n.levels().Newest; newest > command.FirstLevel {
		cmds = append(cmds, raiseLevel(newest))
	}
	if err := n.write(ctx, append(cmds, n.tokenCommands(t, tokenTTL)...)...); err != nil {
		return err
	}
	return n.writeAuthorities(ctx, atRest(1, doc))
}
