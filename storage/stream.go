package storage

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A snapshot on the wire is the data file as one read transaction sees it,
// followed by a trailer: streamMagic, the length of the data file (8 bytes,
// big-endian), and the SHA-256 of the data file.
const (
	streamMagic = "PARLSNP1"
	trailerSize = int64(len(streamMagic) + 8 + sha256.Size)
)

// ErrStalled ends a stream that nobody read from for Options.StreamStall.
var ErrStalled = errors.New("the reader of the snapshot stalled")

// streamChunk is what is read from the file at a time.
const streamChunk = 256 << 10

// Stream is the last checkpoint as a stream of exactly Size bytes. It sees
// one instant whatever is written meanwhile. It must be closed.
type Stream struct {
	base     *base // of which only meta and state are read after the end
	size     int64
	pipe     *io.PipeReader
	done     chan struct{} // closed when the writing side has ended
	limit    *rate.Limiter // nil: none
	stall    *time.Timer
	patience time.Duration
	stalled  atomic.Bool
	ctx      context.Context
	cancel   context.CancelFunc
}

// OpenStream begins a snapshot of what the data file holds now. If the last
// process was ended while it wrote a checkpoint, it waits for that to be
// finished, for Options.StreamStall at most.
func (db *DB) OpenStream() (*Stream, error) {
	if err := db.waitSettled(); err != nil {
		return nil, err
	}
	db.mu.RLock()
	if db.closed {
		db.mu.RUnlock()
		return nil, ErrClosed
	}
	b := db.base
	b.retain()
	db.mu.RUnlock()

	r, w := io.Pipe()
	s := &Stream{base: b, size: b.size(), pipe: r, done: make(chan struct{}), patience: db.opt.StreamStall}
	s.ctx, s.cancel = context.WithCancel(db.ctx)
	if n := db.opt.StreamRate; n > 0 {
		s.limit = rate.NewLimiter(rate.Limit(n), max(n/4, streamChunk))
	}
	s.stall = time.AfterFunc(s.patience, func() {
		s.stalled.Store(true)
		_ = r.CloseWithError(ErrStalled)
	})
	context.AfterFunc(s.ctx, func() { _ = r.CloseWithError(ErrClosed) })
	go func() {
		defer close(s.done)
		_ = w.CloseWithError(b.writeTo(w)) // nil: io.EOF for the reader
		b.release()
	}()
	return s, nil
}

// writeTo writes the data file and the trailer.
func (b *base) writeTo(w io.Writer) error {
	sum := sha256.New()
	buf := bufio.NewWriterSize(w, streamChunk)
	n, err := b.tx.WriteTo(io.MultiWriter(buf, sum))
	if err != nil {
		return fmt.Errorf("reading data file %s: %w", b.file.path, err)
	}
	trailer := append(make([]byte, 0, trailerSize), streamMagic...)
	trailer = binary.BigEndian.AppendUint64(trailer, uint64(n))
	trailer = sum.Sum(trailer)
	if _, err := buf.Write(trailer); err != nil {
		return err
	}
	return buf.Flush()
}

// Meta is what the snapshot is filed under in the log.
func (s *Stream) Meta() Meta { return s.base.meta }

// State is the state machine's state in the snapshot.
func (s *Stream) State() State { return s.base.state }

// Size is the length of the stream in bytes.
func (s *Stream) Size() int64 { return s.size }

// SnapshotSize is the Size that a Stream opened now would have.
func (db *DB) SnapshotSize() int64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.base.size()
}

func (b *base) size() int64 { return b.tx.Size() + trailerSize }

// Read implements io.Reader. It fails with ErrStalled if the calls are too
// far apart.
func (s *Stream) Read(p []byte) (int, error) {
	s.stall.Stop()
	defer s.stall.Reset(s.patience)
	if s.limit != nil && len(p) > s.limit.Burst() {
		p = p[:s.limit.Burst()]
	}
	n, err := s.pipe.Read(p)
	if s.limit != nil && n > 0 && err == nil {
		err = s.limit.WaitN(s.ctx, n)
	}
	return n, s.cause(err)
}

// cause says why the pipe was closed on this side.
func (s *Stream) cause(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case s.stalled.Load():
		return ErrStalled
	case s.ctx.Err() != nil:
		return ErrClosed
	}
	return err
}

// Close ends the stream and frees the pages it reads.
func (s *Stream) Close() error {
	s.stall.Stop()
	s.cancel()
	_ = s.pipe.Close()
	<-s.done
	return nil
}
