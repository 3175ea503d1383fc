package raftfsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/raft"
)

// What raft keeps of an entry beside its data (index, term, type) has no sum
// in the store below: an entry whose type turned into a no-op's would simply be
// left out. So each entry carries one in its extensions: a byte that says how,
// and a CRC-32C over all of it. The data of our own entries ends with a sum of
// its own, which stands for the rest.
const (
	sumVersion = 1
	sumSize    = 1 + 4
)

func sumOf(l *raft.Log) []byte {
	var head [17]byte
	binary.BigEndian.PutUint64(head[0:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	sum := crc32.Checksum(head[:], castagnoli)
	data := l.Data
	if l.Type == raft.LogCommand && len(data) > trailerSize {
		data = data[len(data)-trailerSize:]
	}
	sum = crc32.Update(sum, castagnoli, data)
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, sumSize), sumVersion), sum)
}

// checkSum says whether an entry is as it was stored. Logs of programs that
// did not write sums yet have none.
func checkSum(l *raft.Log) error {
	if len(l.Extensions) == 0 || bytes.Equal(l.Extensions, sumOf(l)) {
		return nil
	}
	return fmt.Errorf("%w: its sum is wrong", ErrDamaged)
}

// Frames of a segment of the log below (raft-wal's format): 8 bytes that say
// the type and the length, or for a commit the CRC-32C of all since the commit
// before; then the payload, filled up to 8 bytes.
const (
	segmentHeader = 32
	frameHeader   = 8
	frameEntry    = 1
	frameIndex    = 2
	frameCommit   = 3
)

// ErrLogDamaged: the log has lost entries that were on disk.
var ErrLogDamaged = errors.New("the log is damaged")

// CheckLog looks whether the log in a folder has all that was ever on disk. It
// must be called before the log is opened: what opens it takes the first thing
// that it does not understand for the end, as after a crash in the middle of
// an append, and forgets what follows. Each append is on disk before the next
// one begins, so whatever has a whole append behind it was no crash: a member
// that forgot entries it has acknowledged could elect a leader without them.
func CheckLog(dir string) error {
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(segments) == 0 {
		return err
	}
	last := slices.Max(segments) // the names are in the order of their entries
	b, err := readUsed(last)
	if err != nil {
		return fmt.Errorf("checking the log: %w", err)
	}
	good, _ := goodPrefix(b)
	if at := laterAppend(b, good); at > 0 {
		return fmt.Errorf("%w: %s does not make sense at byte %d, but goes on at byte %d: the disk has changed what was written; "+
			"remove this member's data and let it join again", ErrLogDamaged, last, good, at)
	}
	return nil
}

// readUsed reads a file without the zeros at its end: segments are as long as
// they may become from the beginning.
func readUsed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var used []byte
	zeros := 0 // read, not yet in used
	chunk := make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(f, chunk)
		if rest := bytes.TrimRight(chunk[:n], "\x00"); len(rest) > 0 {
			used = append(append(used, make([]byte, zeros)...), rest...)
			zeros = n - len(rest)
		} else {
			zeros += n
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			// Frames are as long as a multiple of 8.
			return append(used, make([]byte, min(zeros, frameHeader))...), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// goodPrefix is how many bytes of a segment are whole appends, and where the
// latest of them begins.
func goodPrefix(b []byte) (good, latest int) {
	begin := 0 // the first append includes the header of the file
	at := segmentHeader
	for {
		end := wholeAppend(b, begin, at)
		if end == 0 {
			return good, latest
		}
		latest = begin
		good, begin, at = end, end, end
	}
}

// wholeAppend gives the end of the append whose sum begins at begin and whose
// frames begin at at; 0 if there is none, or its sum is wrong.
func wholeAppend(b []byte, begin, at int) (end int) {
	for at+frameHeader <= len(b) {
		h := b[at : at+frameHeader]
		switch h[0] {
		case frameEntry, frameIndex:
			n := int(binary.LittleEndian.Uint32(h[4:]))
			if n > len(b)-at-frameHeader {
				return 0
			}
			at += frameHeader + (n+7)&^7
		case frameCommit:
			if crc32.Checksum(b[begin:at], castagnoli) != binary.LittleEndian.Uint32(h[4:]) {
				return 0
			}
			return at + frameHeader
		default:
			return 0
		}
	}
	return 0
}

// laterAppend finds a whole append beyond a place; 0 if there is none.
func laterAppend(b []byte, from int) int {
	for at := from + frameHeader; at+frameHeader <= len(b); at += frameHeader {
		if [4]byte(b[at:]) == [4]byte{frameEntry} && wholeAppend(b, at, at) > 0 {
			return at
		}
	}
	return 0
}
