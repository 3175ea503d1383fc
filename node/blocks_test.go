//go:build linux || darwin || freebsd

package node

import (
	"syscall"
	"testing"
)

// blocksOf is how many bytes a file takes on its disk.
func blocksOf(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	must(t, syscall.Stat(path, &st))
	return st.Blocks * 512
}
