//go:build !linux && !darwin && !freebsd

package node

// diskOf cannot tell here.
func diskOf(string) Disk { return Disk{} }
