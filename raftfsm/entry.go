package raftfsm

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/parlorchat/parlor/storage/command"
)

// An entry in the log, integers big-endian:
//
//	magic    2 bytes  "PL"
//	version  1 byte
//	time     8 bytes  leader's clock, ms since 1970
//	seed     8 bytes  of the commands' randomness
//	items    4 bytes  how many follow
//	item …            see below
//	crc      4 bytes  CRC-32C of all before
//
// and an item, whose counts and lengths are uvarints:
//
//	length   4 bytes  of what follows
//	origin  16 bytes  the member that took the request
//	boot     8 bytes  that member's start
//	seq      8 bytes  the request, counted by that start
//	below    8 bytes  requests under this number are never sent again
//	db       1 byte   database that the commands run in
//	watches  count, then for each: database, key (length, bytes), revision
//	commands count, then for each: number of arguments, then for each: length, bytes
//	selects  count, then for each: number of the command before which the database changes, database
//
// The magic, the place of the version and the crc stay in every version to
// come.
const (
	entryMagic0  = 'P'
	entryMagic1  = 'L'
	entryVersion = 1

	headerSize   = 2 + 1 + 8 + 8 + 4
	trailerSize  = 4
	itemHeadSize = 4
	itemNames    = 16 + 8 + 8 + 8 // before db
	itemFixed    = itemNames + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Entry is what one log entry says: requests of many clients.
type Entry struct {
	LeaderTime int64  // the leader's clock, ms since 1970
	Seed       uint64 // of the commands' randomness, drawn by the leader
	Items      []Item
}

// Item is one request with what is needed to carry it out only once.
type Item struct {
	Origin [16]byte // the member that took the request
	Boot   uint64   // which start of that member; later starts are higher
	Seq    uint64   // the request, counted by that start; sent again, it keeps its number
	// DoneBelow: the origin has the outcome of every request below, or has
	// given it up, and never sends it again.
	DoneBelow uint64
	Request   command.Request
}

// Errors of entries that cannot be applied. Both halt a member: to leave an
// entry out is to differ from the others.
var (
	ErrDamaged = errors.New("the entry is damaged")
	ErrVersion = errors.New("the entry is of a newer format: this member needs a newer program")
)

// AppendItem encodes an item.
func AppendItem(dst []byte, it *Item) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, it.Origin[:]...)
	dst = binary.BigEndian.AppendUint64(dst, it.Boot)
	dst = binary.BigEndian.AppendUint64(dst, it.Seq)
	dst = binary.BigEndian.AppendUint64(dst, it.DoneBelow)
	dst = append(dst, it.Request.DB)
	dst = binary.AppendUvarint(dst, uint64(len(it.Request.Watches)))
	for _, w := range it.Request.Watches {
		dst = append(dst, w.DB)
		dst = appendBytes(dst, w.Key)
		dst = binary.AppendUvarint(dst, w.Revision)
	}
	dst = binary.AppendUvarint(dst, uint64(len(it.Request.Commands)))
	for _, args := range it.Request.Commands {
		dst = binary.AppendUvarint(dst, uint64(len(args)))
		for _, a := range args {
			dst = appendBytes(dst, a)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(it.Request.Selects)))
	for _, s := range it.Request.Selects {
		dst = binary.AppendUvarint(dst, uint64(s.Before))
		dst = append(dst, s.DB)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-itemHeadSize))
	return dst
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// EncodeParts makes an entry of items that are encoded already, each part
// holding some of them. raft keeps the result: it is memory of its own.
func EncodeParts(time int64, seed uint64, items int, parts [][]byte) []byte {
	size := headerSize + trailerSize
	for _, p := range parts {
		size += len(p)
	}
	b := appendHeader(make([]byte, 0, size), time, seed, items)
	for _, p := range parts {
		b = append(b, p...)
	}
	return appendTrailer(b, 0)
}

// EncodeEntry appends an encoded entry to dst.
func EncodeEntry(dst []byte, e *Entry) []byte {
	start := len(dst)
	dst = appendHeader(dst, e.LeaderTime, e.Seed, len(e.Items))
	for i := range e.Items {
		dst = AppendItem(dst, &e.Items[i])
	}
	return appendTrailer(dst, start)
}

func appendHeader(dst []byte, time int64, seed uint64, items int) []byte {
	dst = append(dst, entryMagic0, entryMagic1, entryVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(time))
	dst = binary.BigEndian.AppendUint64(dst, seed)
	return binary.BigEndian.AppendUint32(dst, uint32(items))
}

func appendTrailer(b []byte, start int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}
