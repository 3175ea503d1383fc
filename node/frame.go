package node

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Frames on members' connections: length (u32, of what follows), kind (u8),
// id (u64), body. Integers are big-endian.
const (
	frameHeader = 4 + 1 + 8
	frameMin    = 1 + 8
)

// frameKind tells what a frame is. Numbers are never used again for
// something else.
type frameKind uint8

const (
	frameCall   frameKind = 1 // method, 0, arguments: a question
	frameAnswer frameKind = 2 // the answer of that id
	frameError  frameKind = 3 // the Error, as JSON, instead of it
	frameWrites frameKind = 4 // requests for the log; id: how many << 32 | commands in them
)

type frame struct {
	kind frameKind
	id   uint64
	body []byte
}

// writeFrame puts a frame into w; the caller flushes.
func writeFrame(w *bufio.Writer, kind frameKind, id uint64, parts ...[]byte) error {
	n := frameMin
	for _, p := range parts {
		n += len(p)
	}
	var h [frameHeader]byte
	binary.BigEndian.PutUint32(h[0:], uint32(n))
	h[4] = byte(kind)
	binary.BigEndian.PutUint64(h[5:], id)
	if _, err := w.Write(h[:]); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// readFrame reads a frame whose body is at most limit bytes. The body is the
// caller's.
func readFrame(r *bufio.Reader, limit int) (frame, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	n := int(binary.BigEndian.Uint32(h[0:])) - frameMin
	if n < 0 || n > limit {
		return frame{}, fmt.Errorf("a frame of %d bytes, at most %d are allowed", n, limit)
	}
	f := frame{kind: frameKind(h[4]), id: binary.BigEndian.Uint64(h[5:])}
	body, err := readBody(r, n)
	f.body = body
	return f, err
}

// readBody reads n bytes and takes memory only as they arrive, so that a
// length alone costs nothing.
func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	body := make([]byte, min(n, step))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	for len(body) < n {
		at := len(body)
		body = append(body, make([]byte, min(n-at, max(step, at)))...)
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			return nil, err
		}
	}
	return body, nil
}
