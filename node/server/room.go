package server

import "net"

// room says how many clients there is room for. They must not take what the
// member itself needs: the log begins a file now and then, and other members have
// to get through.
type room struct {
	most int // when all descriptors below this number are taken nobody comes in; 0: as many as want
}

// ownFiles is how many descriptors are kept from clients, at most half of all.
// Those who are being turned away hold some of them.
const ownFiles = 128

// newRoom is for a process that may have limit descriptors; 0: any number.
func newRoom(limit int) room { return room{limit - min(ownFiles, limit/2)} }

// crowded says whether there is none for a client who just came.
func (r room) crowded(conn net.Conn) bool {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = c.NetConn()
	}
	return r.most > 0 && lowestFree(conn) >= r.most
}
