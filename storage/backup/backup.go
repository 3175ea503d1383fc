package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Format is the version of the file format that this package writes for
// groups above the first feature level; for those at it, it writes 1, which the
// first programs can read. It reads all up to this one: they differ in that
// alone.
const Format = 2

const (
	magic       = "PARLORBK"
	endMagic    = "PARLOREN"
	headSize    = len(magic) + 4 + 4
	footSize    = len(endMagic) + sha256.Size
	manifestMax = 64 << 10
	copyBuffer  = 256 << 10
)

// Errors of reading. Every error of this package that is about the file's
// contents is one of them.
var (
	ErrNotBackup = errors.New("this is not a backup of Parlor")
	ErrNewer     = errors.New("the backup is of a newer format than this program knows")
	ErrDamaged   = errors.New("the backup is damaged")
)

// Manifest says what a backup holds.
type Manifest struct {
	ClusterID string `json:"cluster_id"`      // the group it was taken from
	NodeID    string `json:"node_id"`         // and the member that wrote it
	Epoch     string `json:"epoch"`           // names the history that event numbers belong to
	Index     uint64 `json:"index"`           // log index that the state is as of
	Term      uint64 `json:"term"`            // and that entry's term
	StateHash string `json:"state_hash"`      // over all rows, 32 hex digits
	Clock     int64  `json:"clock"`           // the group's time in the state, ms since 1970
	CreatedAt int64  `json:"created_at"`      // wall clock of the member, ms since 1970
	Version   string `json:"version"`         // of the program that wrote it
	Size      int64  `json:"size"`            // bytes of the snapshot that follows
	Level     int    `json:"level,omitempty"` // the group's feature level; the first is not written
}

// Write writes a backup: the manifest and m.Size bytes of a snapshot. It gives
// the file's checksum, in hex.
func Write(w io.Writer, m Manifest, snapshot io.Reader) (sum string, err error) {
	format := uint32(Format)
	if m.Level <= 1 {
		m.Level, format = 0, 1
	}
	doc, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encoding the manifest: %w", err)
	}
	if len(doc) > manifestMax {
		return "", fmt.Errorf("the manifest has %d bytes, at most %d are allowed", len(doc), manifestMax)
	}
	whole := sha256.New()
	out := io.MultiWriter(w, whole)
	head := append(make([]byte, 0, headSize+len(doc)), magic...)
	head = binary.BigEndian.AppendUint32(head, format)
	head = binary.BigEndian.AppendUint32(head, uint32(len(doc)))
	if _, err := out.Write(append(head, doc...)); err != nil {
		return "", fmt.Errorf("writing the backup: %w", err)
	}
	n, err := io.CopyBuffer(onlyWriter{out}, io.LimitReader(snapshot, m.Size), make([]byte, copyBuffer))
	if err != nil {
		return "", fmt.Errorf("writing the backup: %w", err)
	}
	if n != m.Size {
		return "", fmt.Errorf("writing the backup: the snapshot ended after %d of %d bytes", n, m.Size)
	}
	if _, err := io.WriteString(out, endMagic); err != nil {
		return "", fmt.Errorf("writing the backup: %w", err)
	}
	total := whole.Sum(nil)
	if _, err := w.Write(total); err != nil {
		return "", fmt.Errorf("writing the backup: %w", err)
	}
	return hex.EncodeToString(total), nil
}

// onlyWriter hides other methods: io.CopyBuffer then uses its buffer.
type onlyWriter struct{ io.Writer }

// Reader reads a backup.
type Reader struct {
	r        io.Reader
	sum      hash.Hash
	manifest Manifest
	done     bool
}

// Open reads the beginning of a backup, up to the snapshot. Nothing that it
// gives is to be believed before Copy has checked the whole.
func Open(r io.Reader) (*Reader, error) {
	b := &Reader{sum: sha256.New()}
	b.r = io.TeeReader(r, b.sum)
	head := make([]byte, headSize)
	if _, err := io.ReadFull(b.r, head); err != nil {
		if !short(err) {
			return nil, fmt.Errorf("reading the backup: %w", err)
		}
		return nil, ErrNotBackup
	}
	if string(head[:len(magic)]) != magic {
		return nil, ErrNotBackup
	}
	format := binary.BigEndian.Uint32(head[len(magic):])
	length := binary.BigEndian.Uint32(head[len(magic)+4:])
	switch {
	case format == 0:
		return nil, fmt.Errorf("%w: it has no format", ErrDamaged)
	case format > Format:
		return nil, fmt.Errorf("%w: format %d, known are 1 to %d", ErrNewer, format, Format)
	case length > manifestMax:
		return nil, fmt.Errorf("%w: a manifest of %d bytes", ErrDamaged, length)
	}
	doc := make([]byte, length)
	if _, err := io.ReadFull(b.r, doc); err != nil {
		return nil, b.broken("its manifest is cut off", err)
	}
	if err := json.Unmarshal(doc, &b.manifest); err != nil {
		return nil, fmt.Errorf("%w: its manifest cannot be read: %w", ErrDamaged, err)
	}
	b.manifest.Level = max(b.manifest.Level, 1)
	if b.manifest.Size < 0 {
		return nil, fmt.Errorf("%w: a snapshot of %d bytes", ErrDamaged, b.manifest.Size)
	}
	return b, nil
}

// Manifest is what the backup says of itself.
func (b *Reader) Manifest() Manifest { return b.manifest }

// Copy copies the snapshot to w and checks the backup to its last byte. Only
// if it returns no error is what was written good. It gives the file's
// checksum, in hex.
func (b *Reader) Copy(w io.Writer) (sum string, err error) {
	if b.done {
		return "", errors.New("the backup was read before")
	}
	b.done = true
	into := &target{w: w}
	n, err := io.CopyBuffer(into, io.LimitReader(b.r, b.manifest.Size), make([]byte, copyBuffer))
	switch {
	case into.err != nil:
		return "", into.err
	case err != nil:
		return "", b.broken("it is cut off", err)
	case n != b.manifest.Size:
		return "", fmt.Errorf("%w: it is cut off, %d of %d bytes of data are there", ErrDamaged, n, b.manifest.Size)
	}
	foot := make([]byte, footSize)
	if _, err := io.ReadFull(b.r, foot[:len(endMagic)]); err != nil {
		return "", b.broken("its end is missing", err)
	}
	want := b.sum.Sum(nil)
	if _, err := io.ReadFull(b.r, foot[len(endMagic):]); err != nil {
		return "", b.broken("its end is missing", err)
	}
	if string(foot[:len(endMagic)]) != endMagic || !bytes.Equal(foot[len(endMagic):], want) {
		return "", fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	switch n, err := io.ReadFull(b.r, foot[:1]); {
	case n > 0:
		return "", fmt.Errorf("%w: something follows its end", ErrDamaged)
	case !short(err):
		return "", fmt.Errorf("reading the backup: %w", err)
	}
	return hex.EncodeToString(want), nil
}

// broken tells a file that ends too early from one that cannot be read.
func (b *Reader) broken(what string, err error) error {
	if short(err) {
		return fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	return fmt.Errorf("reading the backup: %w", err)
}

func short(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// target remembers that it was the writing that failed.
type target struct {
	w   io.Writer
	err error
}

func (t *target) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.err = err
	return n, err
}
