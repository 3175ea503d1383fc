//go:build !linux

package node

import "time"

// uptime is the time since started; it advances evenly.
func uptime(started time.Time) time.Duration { return time.Since(started) }
