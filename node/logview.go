package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	wal "github.com/hashicorp/raft-wal"
)

// logView is the raft log of a member that does not run, for reading. Opening
// a log mends its end, as the next start would; so that looking changes
// nothing, it is opened in a folder of its own, where the files that may
// change are copies and the others links.
type logView struct {
	*wal.WAL
	dir         string
	first, last uint64 // 0: it is empty
}

const segmentSuffix = ".wal"

func openLogView(dir string) (v *logView, err error) {
	from, err := filepath.Abs(filepath.Join(dir, logFolder))
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(CodeDamaged, "there is no log in "+dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	v = &logView{}
	if v.dir, err = os.MkdirTemp("", "parlor-log-"); err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("reading the log: %w", err), v.Close())
		}
	}()
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // segments are named by their first index
	last := slices.IndexFunc(names, func(n string) bool { return !strings.HasSuffix(n, segmentSuffix) })
	if last < 0 {
		last = len(names)
	}
	for i, name := range names {
		path, to := filepath.Join(from, name), filepath.Join(v.dir, name)
		if strings.HasSuffix(name, segmentSuffix) && i < last-1 {
			err = os.Symlink(path, to)
		} else {
			err = copyLogFile(path, to)
		}
		if err != nil {
			return nil, err
		}
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if v.WAL, err = wal.Open(v.dir, wal.WithLogger(newRaftLog(quiet, "raft-log"))); err != nil {
		return nil, err
	}
	if v.first, err = v.FirstIndex(); err != nil {
		return nil, err
	}
	v.last, err = v.LastIndex()
	return v, err
}

// copyLogFile copies a file with the holes that it has: a segment is as large
// as it may become, and mostly zero.
func copyLogFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for at := int64(0); ; {
		n, err := in.ReadAt(buf, at)
		if slices.ContainsFunc(buf[:n], func(b byte) bool { return b != 0 }) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Close takes the copies away.
func (v *logView) Close() error {
	var err error
	if v.WAL != nil {
		err = v.WAL.Close()
	}
	return errors.Join(err, os.RemoveAll(v.dir))
}
