package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/zeebo/xxh3"
)

// A checkpoint of many rows does not fit into one transaction of the data
// file: that would take a multiple of the rows in memory and keep the disk
// busy in one go. So it is written in many, and what makes it one act is the
// journal: before the first of them, all rows are on disk in a file of their
// own. Whoever finds a whole journal at the start finishes the checkpoint; as
// long as it is not whole, no row of it is in the data file.
//
// The file: journalMagic, the incarnation of the data file it is for, the
// State, the length (4 bytes) and the bytes of the Meta, the number of rows
// (8). Each row: the length of the key (4), the length of the value plus one,
// or 0 for a tombstone (8), key, value. At the end the XXH3-128 of all before
// (16). Integers are big-endian.
const journalMagic = "PARLJRN1"

// incarnationSize is the length of what tells data files apart: it is new
// whenever one is made, so that a journal is never taken for that of another.
const incarnationSize = 16

// maxJournalMeta bounds the encoded Meta that a journal is believed to have.
const maxJournalMeta = 16 << 20

// errNoJournal: what is in the file is not a whole journal.
var errNoJournal = errors.New("the journal is incomplete")

// journal is a checkpoint that is on disk beside the data file.
type journal struct {
	incarnation [incarnationSize]byte
	state       State
	meta        Meta
	rows        *overlay
}

// writeJournal puts a checkpoint on disk. When it returns, a crash does not
// lose it. It is written over the one before, if there was one: what need not be
// taken from the disk and given back holds up nobody.
func (db *DB) writeJournal(j *journal) error {
	tmp := filepath.Join(db.dir, journalTempName)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	began := time.Now()
	w := &steadyFile{File: f, rest: func() {
		db.pause(time.Since(began))
		began = time.Now()
	}}
	err = j.encode(w, func(n int) {
		if n == j.rows.rows/2 {
			db.crash("journal-half")
		}
		if n%journalStep == 0 {
			db.pace.journalled(journalStep)
		}
	})
	if err == nil {
		err = Shed(f, w.written, func(took time.Duration) bool { db.pause(took); return true })
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	db.crash("journal-written")
	if err := replaceFile(tmp, filepath.Join(db.dir, journalName)); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	db.crash("journal-named")
	return nil
}

// journalStep is after how many rows of a journal its progress is noted.
const journalStep = 1 << 10

// encode writes the journal; after each row it tells how many there are.
func (j *journal) encode(to io.Writer, written func(n int)) error {
	sum := xxh3.New()
	w := bufio.NewWriterSize(io.MultiWriter(to, sum), 256<<10)
	head := append([]byte(journalMagic), j.incarnation[:]...)
	head = append(head, j.state.encode()...)
	meta := j.meta.encode()
	head = binary.BigEndian.AppendUint32(head, uint32(len(meta)))
	head = append(head, meta...)
	total := j.rows.rows
	head = binary.BigEndian.AppendUint64(head, uint64(total))
	_, err := w.Write(head)
	n := 0
	j.rows.each(func(r row) bool {
		var lens [12]byte
		binary.BigEndian.PutUint32(lens[:4], uint32(len(r.key)))
		if r.value != nil {
			binary.BigEndian.PutUint64(lens[4:], uint64(len(r.value))+1)
		}
		// A bufio.Writer keeps its first error.
		_, _ = w.Write(lens[:])
		_, _ = w.Write(r.key)
		_, err = w.Write(r.value)
		n++
		written(n)
		return err == nil
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	s := sum.Sum128().Bytes()
	_, err = to.Write(s[:])
	return err
}

// readJournal gives the journal at path. It is errNoJournal if the file is
// not whole, whatever the reason; then nothing of it was read.
func readJournal(path string) (*journal, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n := len(data) - 16
	if n < 0 || !bytes.HasPrefix(data, []byte(journalMagic)) {
		return nil, errNoJournal
	}
	if sum := xxh3.Hash128(data[:n]).Bytes(); !bytes.Equal(sum[:], data[n:]) {
		return nil, errNoJournal
	}
	return decodeJournal(data[len(journalMagic):n])
}

// decodeJournal: the rows stay in data.
func decodeJournal(data []byte) (*journal, error) {
	in := &slicer{b: data}
	j := &journal{rows: newOverlay()}
	copy(j.incarnation[:], in.take(incarnationSize))
	if err := j.state.decode(in.take(stateSize)); err != nil {
		return nil, errNoJournal
	}
	n := in.uint32()
	if n > maxJournalMeta || j.meta.decode(in.take(uint64(n))) != nil {
		return nil, errNoJournal
	}
	for left := in.uint64(); left > 0 && !in.short; left-- {
		keyLen, valueLen := in.uint32(), in.uint64()
		r := row{key: in.take(uint64(keyLen))}
		if len(r.key) == 0 || len(r.key) > MaxKey || valueLen > MaxValue+1 {
			return nil, errNoJournal
		}
		if valueLen > 0 {
			r.value = in.take(valueLen - 1)
			if r.value == nil {
				r.value = noBytes
			}
		}
		if !in.short {
			j.rows.set(r)
		}
	}
	if in.short || len(in.b) > 0 {
		return nil, errNoJournal
	}
	return j, nil
}

// slicer takes pieces off a slice. After it was asked for more than there is,
// it gives zeros.
type slicer struct {
	b     []byte
	short bool
}

func (s *slicer) take(n uint64) []byte {
	if s.short || n > uint64(len(s.b)) {
		s.short = true
		return nil
	}
	p := s.b[:n:n]
	s.b = s.b[n:]
	return p
}

func (s *slicer) uint32() uint32 {
	if p := s.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (s *slicer) uint64() uint64 {
	if p := s.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// findJournal gives the journal in dir that belongs to the data file of b and
// is not in it yet, or nil. It fails if the data file holds part of a
// checkpoint and there is no journal to finish it with.
func findJournal(dir string, b *base) (*journal, error) {
	path := filepath.Join(dir, journalName)
	j, err := readJournal(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, errNoJournal) {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	if j != nil && (j.incarnation != b.incarnation || j.meta.Index < b.meta.Index ||
		j.meta.Index == b.meta.Index && b.writing == 0) {
		j = nil // of another data file, or of an earlier checkpoint
	}
	if b.writing != 0 && (j == nil || j.meta.Index != b.writing) {
		return nil, fmt.Errorf("the data file in %s holds part of checkpoint %d, and the file %s, which has the rest, is missing or damaged: "+
			"restore a backup, or remove this member and let it join anew", dir, b.writing, journalName)
	}
	return j, nil
}
