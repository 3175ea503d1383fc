package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/command"
)

// The data folder:
//
//	node.json     who this member is: Identity
//	lock          held by the process that uses the folder
//	boot          number of the last start, which request ids are made of
//	boots         numbers of the starts before, which the others know it by
//	copied        why this folder is not the member's any more
//	pki/          ca.crt, node.crt, node.key
//	log/          the raft log
//	table/        the ordered table
//	parlor.sock   the command line's way in
const (
	identityFile = "node.json"
	bootFile     = "boot"
	lockFile     = "lock"
	pkiFolder    = "pki"
	logFolder    = "log"
	tableFolder  = "table"
	socketFile   = "parlor.sock"
)

// Identity is what a member knows of itself before it has read anything else.
// The id stays when the addresses change.
type Identity struct {
	Format    int               `json:"format"` // 1, or 2 if there is a Level: programs from before levels refuse 2
	State     string            `json:"state"`  // "forming" or "member"
	ClusterID string            `json:"cluster_id"`
	NodeID    string            `json:"node_id"`             // a UUID
	Cluster   string            `json:"cluster"`             // address that others reach the cluster port at
	Listen    string            `json:"listen,omitempty"`    // listening address, where it differs
	Peers     map[string]string `json:"peers,omitempty"`     // last known cluster addresses, by node id
	Level     int               `json:"level,omitempty"`     // the group's feature level, if above the first
	Starts    map[string]uint64 `json:"starts,omitempty"`    // number of every member's last start, by node id
	StartsAt  uint64            `json:"starts_at,omitempty"` // log index that Starts is as of
}

const identityFormat = 2

// level is the group's feature level as far as the member has heard.
func (id Identity) level() int { return max(id.Level, command.FirstLevel) }

const (
	stateForming = "forming"
	stateMember  = "member"
)

// Inspect reads who the member of a data folder is, without taking the folder.
// The error has the code NOTFORMED if the folder belongs to nobody yet (or
// does not exist): Init and Join are possible.
func Inspect(dir string) (Identity, error) {
	id, err := readIdentity(dir)
	if err != nil {
		return Identity{}, err
	}
	if id.State != stateMember {
		return Identity{}, fail(CodeNotFormed, "forming a group was not finished in "+dir+": run init again")
	}
	return id, nil
}

func readIdentity(dir string) (Identity, error) {
	var id Identity
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return id, fail(CodeNotFormed, dir+" belongs to no member yet: run init or join")
	case err != nil:
		return id, fmt.Errorf("reading the member's identity: %w", err)
	}
	if err := json.Unmarshal(b, &id); err != nil {
		return id, fail(CodeDamaged, filepath.Join(dir, identityFile)+" is not readable: "+err.Error())
	}
	if id.Format < 1 || id.Format > identityFormat {
		return id, fail(CodeNewer, fmt.Sprintf("%s was written by a newer program (format %d): use that one", filepath.Join(dir, identityFile), id.Format))
	}
	if _, err := uuid.Parse(id.NodeID); err != nil {
		return id, fail(CodeDamaged, filepath.Join(dir, identityFile)+" has no valid node id")
	}
	return id, nil
}

func (id Identity) write(dir string) error {
	id.Format = 1
	if id.Level = id.level(); id.Level == command.FirstLevel {
		id.Level = 0
	} else {
		id.Format = identityFormat
	}
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, identityFile), append(b, '\n'), 0o600)
}

// listenAddr is where the cluster port listens.
func (id Identity) listenAddr() string {
	if id.Listen != "" {
		return id.Listen
	}
	return id.Cluster
}

// origin is the node id as requests carry it.
func (id Identity) origin() [16]byte { return uuid.MustParse(id.NodeID) }

// writeFile replaces a file so that a crash leaves the old or the new one,
// whole and on disk.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	tmp := f.Name()
	defer os.Remove(tmp)
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = storage.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// WriteFile replaces a file of the data folder so that a power cut leaves the
// old or the new one, whole.
func WriteFile(path string, b []byte, mode fs.FileMode) error { return writeFile(path, b, mode) }
