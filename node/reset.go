package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Reset removes a member's identity, log, table and certificate, so that the
// folder belongs to nobody and can join a group as a new member. The addresses
// it served at, and backups in it, stay. It gives who the member was, as far
// as that can be read. If it is interrupted, the folder belongs to nobody
// already, and Reset can be called again. The error has the code NOTFORMED if
// there is nothing to remove, LOCKED if the member runs.
func Reset(dir string) (Identity, error) {
	found := false
	for _, name := range []string{identityFile, logFolder, tableFolder, pkiFolder} {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Identity{}, fmt.Errorf("looking into the data folder: %w", err)
		}
		found = found || err == nil
	}
	if !found {
		return Identity{}, fail(CodeNotFormed, dir+" belongs to no member: there is nothing to reset")
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return Identity{}, err
	}
	defer lock.Close()
	id, err := readIdentity(dir)
	if err == nil {
		// First, so that nobody starts a member on half of its data, which
		// would have forgotten what it has promised.
		left := id
		left.State = stateForming
		if err := left.write(dir); err != nil {
			return id, err
		}
	}
	return id, errors.Join(clearFolder(dir), reapStaging(dir), removeSocket(dir))
}

func removeSocket(dir string) error {
	err := os.Remove(AdminSocket(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
