//go:build !unix || solaris || aix

package node

import (
	"fmt"
	"io"
	"os"
)

// lockFolder relies on the table's own lock where the system has no flock.
func lockFolder(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	return io.NopCloser(nil), nil
}
