//go:build !linux

package raftfsm

import "os"

// syncData puts what was written to a file on disk.
func syncData(f *os.File) error { return f.Sync() }
