package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// RestoreNew forms a new group with this member alone, as Init does, whose
// state is that of a backup. The group has an id and a certificate authority
// of its own: members of the group that the backup is of cannot take it for
// theirs, should they come back. open is called twice: the backup is checked to
// its end before anything is made. If RestoreNew fails, the folder belongs to
// nobody. There is no setup token in the answer: the state has been set up.
func RestoreNew(ctx context.Context, opts Options, open func() (io.ReadCloser, error)) (Formed, Restored, error) {
	var restored Restored
	if err := checkTarget(opts.Dir); err != nil {
		return Formed{}, restored, err
	}
	first, err := open()
	if err != nil {
		return Formed{}, restored, fmt.Errorf("opening the backup: %w", err)
	}
	_, _, err = CheckBackup(first)
	if err = errors.Join(err, first.Close()); err != nil {
		return Formed{}, restored, err
	}
	_, err = os.Stat(opts.Dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	formed, err := initGroup(ctx, opts, func(n *Node) error {
		r, err := open()
		if err != nil {
			return fmt.Errorf("opening the backup: %w", err)
		}
		defer r.Close()
		restored, err = n.Restore(ctx, r, RestoreOptions{Foreign: true})
		return err
	})
	if err != nil {
		return Formed{}, Restored{}, errors.Join(err, takeBack(opts.Dir, fresh))
	}
	formed.SetupToken = ""
	return formed, restored, nil
}

// checkTarget refuses a folder that something is in, beside what an
// interrupted attempt has left, and the addresses and the settings that serve is
// to use.
func checkTarget(dir string) error {
	if err := checkVacant(dir); err != nil {
		return err
	}
	if id, err := readIdentity(dir); err == nil && id.State == stateForming {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking into the data folder: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); name != lockFile && name != "addresses.json" && name != "parlor.yaml" {
			return fail(CodeExists, fmt.Sprintf("%s is not empty, there is %s: give an empty folder", dir, name))
		}
	}
	return nil
}

// takeBack removes what a failed attempt has made, and nothing else.
func takeBack(dir string, fresh bool) error {
	if id, err := readIdentity(dir); err != nil || id.State != stateForming {
		return nil
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := errors.Join(clearFolder(dir), reapStaging(dir)); err != nil || !fresh {
		return err
	}
	return errors.Join(os.Remove(filepath.Join(dir, lockFile)), os.Remove(dir))
}
