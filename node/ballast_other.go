//go:build !linux

package node

import "os"

// occupy makes a file take room on its disk.
func occupy(f *os.File, size int64) error { return fill(f, size) }
