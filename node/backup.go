package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parlorchat/parlor/storage"
	"github.com/parlorchat/parlor/storage/backup"
	"golang.org/x/time/rate"
)

// A backup is the last checkpoint of the member that is asked, streamed under
// a read view of its own: nobody waits for it. docs/operations.md tells
// operators how to use it, package backup what the file looks like.

// Manifest says what a backup holds.
type Manifest = backup.Manifest

const (
	// BackupRate is what a backup reads by default, in bytes per second: it
	// shall not be noticed by who writes.
	BackupRate = 32 << 20

	groupKey   = "system:group" // hash: what the group began with
	epochField = "epoch"
)

// BackupOptions say how a backup is taken.
type BackupOptions struct {
	Rate int64 // bytes per second; 0: BackupRate, negative: as fast as it can be read
	// Stale takes the state as this member has it, without asking whether it
	// has all that was committed: the way when there is no majority.
	Stale bool
}

// openBackup is a backup that is about to be written.
type openBackup struct {
	manifest Manifest
	stream   *storage.Stream
	source   io.Reader
}

// startBackup finds out what is to be backed up: everything that was
// acknowledged anywhere before the call. The caller must close the stream.
func (n *Node) startBackup(ctx context.Context, o BackupOptions) (*openBackup, error) {
	if err := n.serves(); err != nil {
		return nil, err
	}
	if !o.Stale {
		if err := n.ReadIndex(ctx); err != nil {
			return nil, fmt.Errorf("the backup would perhaps not be up to date (--stale takes it all the same): %w", err)
		}
	}
	if err := n.checkpointAt(ctx, n.Applied()); err != nil {
		return nil, err
	}
	stream, err := n.db.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("reading the table: %w", err)
	}
	st := stream.State()
	b := &openBackup{stream: stream, source: stream, manifest: Manifest{
		ClusterID: n.id.ClusterID, NodeID: n.id.NodeID, Epoch: string(n.field(groupKey, epochField)),
		Index: st.Index, Term: st.Term, StateHash: hashText(st.Hash), Clock: st.Clock,
		CreatedAt: time.Now().UnixMilli(), Version: n.opt.Version, Size: stream.Size(), Level: n.Level(),
	}}
	if o.Rate == 0 {
		o.Rate = BackupRate
	}
	if o.Rate > 0 {
		b.source = &slowReader{ctx: ctx, r: stream, limit: rate.NewLimiter(rate.Limit(o.Rate), backupBurst)}
	}
	return b, nil
}

// Backup writes a backup of the group's state to w.
func (n *Node) Backup(ctx context.Context, w io.Writer, o BackupOptions) (Manifest, error) {
	b, err := n.startBackup(ctx, o)
	if err != nil {
		return Manifest{}, err
	}
	defer b.stream.Close()
	return b.manifest, writeBackup(w, b)
}

func writeBackup(w io.Writer, b *openBackup) error {
	_, err := backup.Write(w, b.manifest, b.source)
	return err
}

func hashText(h storage.Hash) string { return fmt.Sprintf("%016x%016x", h.Hi, h.Lo) }

// checkpointAt returns when the data file holds the log up to index. A
// checkpoint may fail for reasons that pass.
func (n *Node) checkpointAt(ctx context.Context, index uint64) error {
	for {
		if on, _ := n.db.Checkpointed(); on.Index >= index {
			return nil
		}
		n.checkpoint()
		if on, _ := n.db.Checkpointed(); on.Index >= index {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("writing a checkpoint: %w", ctx.Err())
		case <-n.ctx.Done():
			return errClosed
		}
	}
}

var errClosed = errors.New("this member is closing")

// backupBurst is what a slowReader reads at a time.
const backupBurst = 256 << 10

// slowReader reads no faster than its limit.
type slowReader struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter
}

func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), backupBurst)])
	if n > 0 && err == nil {
		err = s.limit.WaitN(s.ctx, n)
	}
	return n, err
}

// CheckBackup reads a whole backup and says what is wrong with it: the error
// has the code NOTBACKUP, NEWER or DAMAGED. It gives what is in it and the
// file's checksum, in hex.
func CheckBackup(r io.Reader) (Manifest, string, error) { return CopyBackup(io.Discard, r) }

// CopyBackup copies a backup and checks it on the way, to its last byte: only
// without an error is the copy good.
func CopyBackup(w io.Writer, r io.Reader) (m Manifest, sum string, err error) {
	b, err := backup.Open(io.TeeReader(r, w))
	if err != nil {
		return m, "", backupError(err)
	}
	sum, err = b.Copy(io.Discard)
	return b.Manifest(), sum, backupError(err)
}

// backupError gives an error of a backup's contents its code.
func backupError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, backup.ErrNotBackup):
		return fail(CodeNotBackup, err.Error())
	case errors.Is(err, backup.ErrNewer):
		return fail(CodeNewer, err.Error()+": use a newer program")
	case errors.Is(err, backup.ErrDamaged):
		return fail(CodeDamaged, err.Error()+": use another one")
	}
	return err
}
