//go:build !unix

package server

import "net"

// mostFiles is how many descriptors this process may have; 0: any number.
func mostFiles() int { return 0 }

// lowestFree is not asked where there is no limit.
func lowestFree(net.Conn) int { return 0 }
