package storage

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// formatVersion is the version of the data file's layout. A file of a later
// version is refused.
const formatVersion = 3

// ErrNewer: a data file or a snapshot was written by a newer program.
var ErrNewer = errors.New("it was written by a newer program")

// Names in the data file.
var (
	bucketRows = []byte("rows")
	bucketMeta = []byte("meta")

	metaFormat  = []byte("format")  // 4 bytes
	metaCluster = []byte("cluster") // Options.ClusterID
	metaState   = []byte("state")   // State
	metaLog     = []byte("log")     // Meta
	metaSelf    = []byte("self")    // incarnation, see journal.go
	metaWriting = []byte("writing") // 8 bytes: index of the checkpoint that is here in part
)

const (
	minMapSize     = 64 << 20
	defaultMapSize = 256 << 30
	lockTimeout    = 5 * time.Second
)

// Meta is what a checkpoint is filed under in the raft log.
type Meta struct {
	// Index is the log index of the checkpoint, and Term that entry's term.
	// Index is State.Index, or later if the entries in between change no
	// rows (raft has such entries).
	Index, Term uint64
	// Config is the encoded membership of the group at Index, and ConfigIndex
	// the log index it is from.
	Config      []byte
	ConfigIndex uint64
}

// file is an open data file. It is closed when nobody refers to it any more:
// after a snapshot was installed, readers may still be at the old one.
type file struct {
	bolt *bbolt.DB
	path string
	size int64 // of the map
	// damaged is told when a row is not what was written. It does not return.
	damaged func(error)
	refs    atomic.Int32
	former  *former       // its name is another one's; nil: it is not, or goes at once
	done    chan struct{} // closed with the file
	err     error         // of closing; after done
}

// base is a read transaction of a data file, shared by all readers of one
// view and closed when the last has gone.
type base struct {
	file  *file
	tx    *bbolt.Tx
	rows  *fileRows
	meta  Meta
	state State
	refs  atomic.Int32

	incarnation [incarnationSize]byte
	writing     uint64 // index of a checkpoint that is in the file in part; 0: none
}

// openFile opens a data file that exists. With want 0 only as much is mapped
// as the file needs.
func openFile(path string, want int64) (*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	least := max(minMapSize, 2*info.Size())
	size := max(want, least)
	for {
		b, err := bbolt.Open(path, 0o600, boltOptions(size))
		if err == nil {
			return newFile(b, path, size), nil
		}
		// The address space may be limited (ulimit -v): make do with less.
		if !errors.Is(err, syscall.ENOMEM) || size == least {
			return nil, fmt.Errorf("opening data file %s: %w", path, err)
		}
		size = max(size/2, least)
	}
}

func newFile(b *bbolt.DB, path string, size int64) *file {
	f := &file{bolt: b, path: path, size: size, done: make(chan struct{})}
	f.damaged = func(err error) { panic(fmt.Errorf("data file %s is damaged: %w", path, err)) }
	f.refs.Store(1)
	return f
}

// boltOptions: the map is far larger than the file, because a write
// transaction that outgrows it would wait for all readers, and one of them is
// always there. MaxSize turns that wait into an error.
func boltOptions(mapSize int64) *bbolt.Options {
	o := &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
	}
	if runtime.GOOS == "windows" {
		return o // there the file is as large as its map
	}
	o.InitialMmapSize = int(mapSize)
	o.MaxSize = int(mapSize)
	return o
}

// mapSizeOr is the map size asked for, or the default for this machine.
func mapSizeOr(want int64) int64 {
	switch {
	case want > 0:
		return want
	case strconv.IntSize == 32:
		return 1 << 30
	default:
		return defaultMapSize
	}
}

// createFile makes an empty data file at path. A crash leaves either none or
// a whole one.
func createFile(dir, path, clusterID string) error {
	tmp := filepath.Join(dir, creatingName)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("creating data file: %w", err)
	}
	b, err := bbolt.Open(tmp, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("creating data file: %w", err)
	}
	err = b.Update(func(tx *bbolt.Tx) error { return initFile(tx, clusterID) })
	if err = errors.Join(err, b.Close()); err != nil {
		return fmt.Errorf("creating data file: %w", err)
	}
	return replaceFile(tmp, path)
}

// initFile makes the buckets of a data file without rows.
func initFile(tx *bbolt.Tx, clusterID string) error {
	if _, err := tx.CreateBucket(bucketRows); err != nil {
		return err
	}
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	if err := meta.Put(metaFormat, binary.BigEndian.AppendUint32(nil, formatVersion)); err != nil {
		return err
	}
	if err := meta.Put(metaCluster, []byte(clusterID)); err != nil {
		return err
	}
	if err := reincarnate(tx); err != nil {
		return err
	}
	return putMeta(tx, State{}, Meta{})
}

// reincarnate makes a data file another one than the one it was copied from.
func reincarnate(tx *bbolt.Tx) error {
	var id [incarnationSize]byte
	_, _ = rand.Read(id[:]) // it never fails
	return tx.Bucket(bucketMeta).Put(metaSelf, id[:])
}

// markWriting says in the data file that part of checkpoint index is there,
// or, with 0, that all is.
func markWriting(tx *bbolt.Tx, index uint64) error {
	bucket := tx.Bucket(bucketMeta)
	if index == 0 {
		return bucket.Delete(metaWriting)
	}
	return bucket.Put(metaWriting, binary.BigEndian.AppendUint64(nil, index))
}

// writer gives a writer of the rows, with memory to use for their values.
func (f *file) writer(tx *bbolt.Tx, memory []byte) *rowWriter {
	rows := tx.Bucket(bucketRows)
	rows.FillPercent = fillPercent
	return &rowWriter{bucket: rows, memory: memory}
}

// replaceFile puts the file tmp, whose contents are on disk, in the place of
// path for good.
func replaceFile(tmp, path string) error {
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

func putMeta(tx *bbolt.Tx, s State, m Meta) error {
	bucket := tx.Bucket(bucketMeta)
	if bucket == nil {
		return errors.New("data file has no meta bucket")
	}
	if err := bucket.Put(metaState, s.encode()); err != nil {
		return err
	}
	return bucket.Put(metaLog, m.encode())
}

// begin opens a read transaction and reads inside of it what it is a
// checkpoint of.
func (f *file) begin() (*base, error) {
	tx, err := f.bolt.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("reading data file %s: %w", f.path, err)
	}
	b := &base{file: f, tx: tx}
	if err := b.read(); err != nil {
		_ = tx.Rollback()
		return nil, fmt.Errorf("reading data file %s: %w", f.path, err)
	}
	b.refs.Store(1)
	f.refs.Add(1)
	return b, nil
}

// read takes in what the file says of itself.
func (b *base) read() (err error) {
	if b.state, b.meta, err = readMeta(b.tx); err != nil {
		return err
	}
	bucket := b.tx.Bucket(bucketRows)
	if bucket == nil {
		return errors.New("no rows bucket")
	}
	b.rows = &fileRows{bucket: bucket, damaged: b.file.damaged}
	meta := b.tx.Bucket(bucketMeta)
	copy(b.incarnation[:], meta.Get(metaSelf))
	if v := meta.Get(metaWriting); len(v) == 8 {
		b.writing = binary.BigEndian.Uint64(v)
	} else if v != nil {
		return fmt.Errorf("the mark of a checkpoint that is written is %d bytes instead of 8", len(v))
	}
	return nil
}

func readMeta(tx *bbolt.Tx) (s State, m Meta, err error) {
	bucket := tx.Bucket(bucketMeta)
	if bucket == nil {
		return s, m, errors.New("no meta bucket")
	}
	if v := bucket.Get(metaFormat); len(v) != 4 {
		return s, m, errors.New("no format version")
	} else if n := binary.BigEndian.Uint32(v); n > formatVersion {
		return s, m, fmt.Errorf("%w: its format is version %d, this program knows version %d", ErrNewer, n, formatVersion)
	} else if n != formatVersion {
		return s, m, fmt.Errorf("its format is version %d, this program knows version %d", n, formatVersion)
	}
	if err := s.decode(bucket.Get(metaState)); err != nil {
		return s, m, err
	}
	return s, m, m.decode(bucket.Get(metaLog))
}

// cluster gives the group's id that the file was made for.
func (b *base) cluster() string { return string(b.tx.Bucket(bucketMeta).Get(metaCluster)) }

// retain needs somebody else's reference to be held meanwhile.
func (b *base) retain() { b.refs.Add(1) }

func (b *base) release() {
	if b.refs.Add(-1) == 0 {
		_ = b.tx.Rollback() // of a read transaction: it cannot fail
		b.file.release()
	}
}

func (f *file) release() {
	switch {
	case f.refs.Add(-1) > 0:
	case f.former != nil:
		go f.giveUp() // whoever reads last need not wait for it
	default:
		f.err = f.bolt.Close()
		close(f.done)
	}
}

func (s State) encode() []byte {
	b := make([]byte, 0, stateSize)
	b = binary.BigEndian.AppendUint64(b, s.Index)
	b = binary.BigEndian.AppendUint64(b, s.Term)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Clock))
	b = binary.BigEndian.AppendUint64(b, s.Hash.Hi)
	b = binary.BigEndian.AppendUint64(b, s.Hash.Lo)
	for _, r := range s.Rooms {
		for _, u := range [...]uint64{r.Number, r.Since, uint64(r.Keys), uint64(r.Expires), r.Hash.Hi, r.Hash.Lo} {
			b = binary.BigEndian.AppendUint64(b, u)
		}
	}
	return b
}

const (
	roomSize  = 6 * 8
	stateSize = 5*8 + RoomCount*roomSize
)

func (s *State) decode(b []byte) error {
	if len(b) != stateSize {
		return fmt.Errorf("state is %d bytes instead of %d", len(b), stateSize)
	}
	u := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	*s = State{Index: u(0), Term: u(1), Clock: int64(u(2)), Hash: Hash{Hi: u(3), Lo: u(4)}}
	for i := range s.Rooms {
		n := 5 + 6*i
		s.Rooms[i] = Room{u(n), u(n + 1), int64(u(n + 2)), int64(u(n + 3)), Hash{Hi: u(n + 4), Lo: u(n + 5)}}
	}
	return nil
}

func (m Meta) encode() []byte {
	b := make([]byte, 0, 24+len(m.Config))
	b = binary.BigEndian.AppendUint64(b, m.Index)
	b = binary.BigEndian.AppendUint64(b, m.Term)
	b = binary.BigEndian.AppendUint64(b, m.ConfigIndex)
	return append(b, m.Config...)
}

func (m *Meta) decode(b []byte) error {
	if len(b) < 24 {
		return fmt.Errorf("log position is %d bytes instead of 24 or more", len(b))
	}
	u := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	*m = Meta{Index: u(0), Term: u(1), ConfigIndex: u(2), Config: append([]byte(nil), b[24:]...)}
	return nil
}
