// Package disk is a disk that can fail: it forgets what was not synced when
// its power is cut, it hangs, it is slow, it is sick, and it tells lies about what
// it has synced. It is a FUSE file system over a folder; it knows nothing of who uses
// it. It needs Linux with FUSE and the right to mount.
package disk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// pageSize is what is on the medium or is not, as a whole.
const pageSize = 4096

// Disk is a file system that keeps in memory what was written, until it is
// told to sync. A cut of the power loses the rest, or some of it: each page
// that was not synced may have come to the medium or not. What was done to a
// folder (made, renamed, removed) and not synced is undone, from some moment on.
type Disk struct {
	Mount  string // where the file system is
	medium string // folder with what is on the medium
	attic  string // removed files that a cut may bring back
	rng    *rand.Rand
	server *fuse.Server

	mu    sync.Mutex
	free  *sync.Cond    // a hanging disk goes on
	hangs bool          // it does not sync, and does not say so either
	slow  time.Duration // that each sync takes longer
	sick  bool          // it fails to write and to read, now and then
	lies  bool          // it says that it has synced, and has not
	plain bool          // it takes no writes past the page cache
	dead  bool
	files map[uint64]*content // by inode
	done  []change            // to folders, not synced, oldest first
	names int

	lost, kept, undone int // pages and changes at cuts, for the report
}

// content is a file with writes that are not on the medium.
type content struct {
	fd       int // of the file on the medium
	handles  int // that are open
	pages    map[int64][]byte
	size     int64
	backed   int64 // so much of the file on the medium still counts
	reserved int64 // so much has room on the medium
	failed   int   // so many syncs did
}

// change is something done to a folder.
type change struct {
	folders [2]string
	saved   string // the file that it replaced or removed, if any
	undo    func() error
}

// New makes the disk in the folder base, which keeps what is on the medium,
// and mounts it. The seed decides what cuts lose.
func New(base string, seed uint64) (*Disk, error) {
	d := &Disk{
		rng: rand.New(rand.NewPCG(seed, 1)),

		medium: filepath.Join(base, "medium"), attic: filepath.Join(base, "attic"), Mount: filepath.Join(base, "mnt"),
	}
	d.free = sync.NewCond(&d.mu)
	for _, dir := range []string{d.medium, d.attic, d.Mount} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return d, d.On()
}

// On mounts the disk.
func (d *Disk) On() error {
	d.dead, d.hangs, d.slow, d.sick, d.files, d.done = false, false, 0, false, map[uint64]*content{}, nil
	root := &fs.LoopbackRoot{Path: d.medium}
	root.NewNode = func(data *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: data}, d: d}
	}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, d: d}
	root.RootNode = top
	server, err := fs.Mount(d.Mount, top, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMount: true, FsName: "forgets", Name: "forgets", MaxWrite: 1 << 20, ExplicitDataCacheControl: true,
	}})
	if err != nil {
		return fmt.Errorf("mounting %s: %w", d.Mount, err)
	}
	d.server = server
	return server.WaitMount()
}

// Cut takes the power away: from now on nothing is written any more. What
// waits for a disk that hangs fails.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	d.free.Broadcast()
}

// Hang lets no sync end, or lets all go on that wait.
func (d *Disk) Hang(hangs bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs = hangs
	d.free.Broadcast()
}

// Slow has each sync take so much longer.
func (d *Disk) Slow(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

// Sick has half of all syncs fail, and a write or a read now and then. A sync that fails
// has brought some of what was written to the medium, and the rest it will not
// be asked for again: the system's page cache goes on showing it as long as the
// power is there.
func (d *Disk) Sick(sick bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sick = sick
}

// Plain has the disk refuse, or take, writes past the page cache.
func (d *Disk) Plain(plain bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plain = plain
}

// Lie has the disk say that it has synced when it has not.
func (d *Disk) Lie(lies bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lies = lies
}

// Losses tells what the cuts did.
func (d *Disk) Losses() string {
	return fmt.Sprintf("%d unsynced pages lost, %d kept, %d changes of folders undone", d.lost, d.kept, d.undone)
}

// Off unmounts the disk after a cut, when nobody uses it, and leaves on the
// medium what a power cut may leave.
func (d *Disk) Off() error {
	var err error
	for range 200 {
		if err = d.server.Unmount(); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", d.Mount, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.files {
		d.wear(c)
		_ = syscall.Close(c.fd)
	}
	from := len(d.done)
	if from > 0 {
		from = d.rng.IntN(from + 1)
	}
	for i := len(d.done) - 1; i >= from; i-- {
		// A folder that was removed does not come back, nor what was in it.
		if err := d.done[i].undo(); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("undoing what was not synced: %w", err)
		}
		d.undone++
	}
	if err := os.RemoveAll(d.attic); err != nil {
		return err
	}
	return os.Mkdir(d.attic, 0o700)
}

// wear puts some pages of a file on the medium that were never synced.
func (d *Disk) wear(c *content) {
	all := d.rng.IntN(3) // none, some, most of them
	for at, page := range c.pages {
		if d.rng.IntN(4) >= all {
			d.lost++
			continue
		}
		d.kept++
		if d.rng.IntN(8) == 0 { // torn at a sector
			page = page[:512*(1+d.rng.IntN(7))]
		}
		_, _ = syscall.Pwrite(c.fd, page, at*pageSize)
	}
}

// content gives what is kept of an open file; the caller holds mu.
func (d *Disk) content(path string, st *syscall.Stat_t) (*content, error) {
	if c := d.files[st.Ino]; c != nil {
		return c, nil
	}
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &content{fd: fd, pages: map[int64][]byte{}, size: st.Size, backed: st.Size, reserved: st.Size}
	d.files[st.Ino] = c
	return c, nil
}

// read fills p from a place on, and gives how much there was.
func (c *content) read(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	clear(p)
	if off < c.backed {
		_, _ = syscall.Pread(c.fd, p[:min(int64(len(p)), c.backed-off)], off)
	}
	for at := off / pageSize; at*pageSize < off+int64(len(p)); at++ {
		page := c.pages[at]
		if page == nil {
			continue
		}
		begin := at * pageSize
		if begin < off {
			copy(p, page[off-begin:])
		} else {
			copy(p[begin-off:], page)
		}
	}
	return len(p)
}

func (c *content) write(p []byte, off int64) {
	c.size = max(c.size, off+int64(len(p)))
	for len(p) > 0 {
		at, in := off/pageSize, off%pageSize
		page := c.pages[at]
		if page == nil {
			page = make([]byte, pageSize)
			c.read(page, at*pageSize)
			c.pages[at] = page
		}
		n := copy(page[in:], p)
		p, off = p[n:], off+int64(n)
	}
}

func (c *content) truncate(size int64) {
	for at, page := range c.pages {
		switch begin := at * pageSize; {
		case begin >= size:
			delete(c.pages, at)
		case begin+pageSize > size:
			clear(page[size-begin:])
		}
	}
	c.size, c.backed, c.reserved = size, min(c.backed, size), min(c.reserved, size)
}

// sync brings a file to the medium.
func (c *content) sync() error {
	// Truncating a file to the size that it has would take its reserved room.
	var st syscall.Stat_t
	if err := syscall.Fstat(c.fd, &st); err != nil {
		return err
	}
	if st.Size > c.backed {
		if err := syscall.Ftruncate(c.fd, c.backed); err != nil {
			return err
		}
		st.Size = c.backed
	}
	for at, page := range c.pages {
		if _, err := syscall.Pwrite(c.fd, page, at*pageSize); err != nil {
			return err
		}
	}
	clear(c.pages)
	c.backed = c.size
	if err := syscall.Fstat(c.fd, &st); err != nil || st.Size == c.size {
		return err
	}
	return syscall.Ftruncate(c.fd, c.size)
}

// room says whether the medium has room for a write of a file, and for all
// else that waits to be synced; the caller holds mu.
func (d *Disk) room(c *content, off, size int64) bool {
	if off+size <= max(c.backed, c.reserved) {
		return true
	}
	var st syscall.Statfs_t
	if syscall.Fstatfs(c.fd, &st) != nil {
		return true
	}
	waits := size
	for _, c := range d.files {
		waits += int64(len(c.pages)) * pageSize
	}
	return int64(st.Bavail)*st.Bsize > waits
}

// reap forgets files that nobody has open and no cut can bring back; the
// caller holds mu.
func (d *Disk) reap() {
	for ino, c := range d.files {
		var st syscall.Stat_t
		if c.handles == 0 && syscall.Fstat(c.fd, &st) == nil && st.Nlink == 0 {
			_ = syscall.Close(c.fd)
			delete(d.files, ino)
		}
	}
}

// change notes something done to folders; the caller holds mu.
func (d *Disk) change(a, b, saved string, undo func() error) {
	d.done = append(d.done, change{[2]string{a, b}, saved, undo})
}

// syncFolder makes what was done to a folder last.
func (d *Disk) syncFolder(path string) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return syscall.EIO
	}
	last := -1
	for i, c := range d.done {
		if c.folders[0] == path || c.folders[1] == path {
			last = i
		}
	}
	for _, c := range d.done[:last+1] {
		if c.saved != "" {
			_ = os.Remove(c.saved)
		}
	}
	d.done = d.done[last+1:] // a file system's journal is written in order
	d.reap()
	return fs.OK
}

// save keeps a file that goes away, so that a cut can bring it back.
func (d *Disk) save(path string) (saved string, err error) {
	d.names++
	saved = filepath.Join(d.attic, fmt.Sprint(d.names))
	return saved, os.Link(path, saved)
}

// node is a file or folder of the mounted disk.
type node struct {
	fs.LoopbackNode
	d *Disk
}

func (n *node) path() string { return filepath.Join(n.RootData.Path, n.Path(n.Root())) }

// handle is an open file.
type handle struct {
	d    *Disk
	c    *content
	told int // of so many syncs that failed: each handle hears of all, once
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if n.d.plain && flags&syscall.O_DIRECT != 0 {
		return nil, 0, syscall.EINVAL
	}
	var st syscall.Stat_t
	if err := syscall.Stat(n.path(), &st); err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	c, err := n.d.content(n.path(), &st)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	if flags&syscall.O_TRUNC != 0 {
		c.truncate(0)
	}
	c.handles++
	// What is in the page cache stays there when a process ends.
	return &handle{n.d, c, c.failed}, fuse.FOPEN_KEEP_CACHE, fs.OK
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if n.d.dead {
		return nil, nil, 0, syscall.EIO
	}
	inode, fh, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != fs.OK {
		return nil, nil, 0, errno
	}
	if r, ok := fh.(fs.FileReleaser); ok {
		r.Release(ctx)
	}
	path := filepath.Join(n.path(), name)
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	delete(n.d.files, st.Ino) // of a file that is gone
	c, err := n.d.content(path, &st)
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	n.d.change(n.path(), n.path(), "", func() error { return os.Remove(path) })
	c.handles++
	return inode, &handle{n.d, c, c.failed}, 0, fs.OK
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if n.d.dead {
		return syscall.EIO
	}
	path := filepath.Join(n.path(), name)
	saved, err := n.d.save(path)
	if err != nil {
		return fs.ToErrno(err)
	}
	errno := n.LoopbackNode.Unlink(ctx, name)
	if errno == fs.OK {
		n.d.change(n.path(), n.path(), saved, func() error { return os.Rename(saved, path) })
	}
	return errno
}

func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, toName string, flags uint32) syscall.Errno {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if n.d.dead {
		return syscall.EIO
	}
	target, ok := to.(*node)
	if !ok {
		return syscall.EXDEV
	}
	from, into := filepath.Join(n.path(), name), filepath.Join(target.path(), toName)
	saved := ""
	if st, err := os.Lstat(into); err == nil && st.Mode().IsRegular() {
		if saved, err = n.d.save(into); err != nil {
			return fs.ToErrno(err)
		}
	}
	errno := n.LoopbackNode.Rename(ctx, name, &target.LoopbackNode, toName, flags)
	if errno == fs.OK {
		n.d.change(n.path(), target.path(), saved, func() error {
			if err := os.Rename(into, from); err != nil || saved == "" {
				return err
			}
			return os.Rename(saved, into)
		})
	}
	return errno
}

func (n *node) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if errno := n.LoopbackNode.Getattr(ctx, nil, out); errno != fs.OK {
		return errno
	}
	n.resize(&out.Attr)
	return fs.OK
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child, errno := n.LoopbackNode.Lookup(ctx, name, out)
	if errno == fs.OK {
		n.resize(&out.Attr)
	}
	return child, errno
}

// resize says how long a file is that is not on the medium yet.
func (n *node) resize(a *fuse.Attr) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	if c := n.d.files[a.Ino]; c != nil {
		a.Size = uint64(c.size)
	}
}

func (n *node) Statx(context.Context, fs.FileHandle, uint32, uint32, *fuse.StatxOut) syscall.Errno {
	return syscall.ENOSYS
}

func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		n.d.mu.Lock()
		if n.d.dead {
			n.d.mu.Unlock()
			return syscall.EIO
		}
		var st syscall.Stat_t
		err := syscall.Stat(n.path(), &st)
		var c *content
		if err == nil {
			c, err = n.d.content(n.path(), &st)
		}
		if err == nil {
			c.truncate(int64(size))
		}
		n.d.mu.Unlock()
		if err != nil {
			return fs.ToErrno(err)
		}
		in.Valid &^= fuse.FATTR_SIZE
	}
	if errno := n.LoopbackNode.Setattr(ctx, nil, in, out); errno != fs.OK {
		return errno
	}
	n.resize(&out.Attr)
	return fs.OK
}

// folder is an open folder.
type folder struct {
	fs.FileHandle
	n *node
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	fh, f, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	return &folder{fh, n}, f, errno
}

func (f *folder) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	return f.FileHandle.(fs.FileReaddirenter).Readdirent(ctx)
}

func (f *folder) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	return f.FileHandle.(fs.FileSeekdirer).Seekdir(ctx, off)
}

func (f *folder) Releasedir(ctx context.Context, flags uint32) {
	f.FileHandle.(fs.FileReleasedirer).Releasedir(ctx, flags)
}

func (f *folder) Fsyncdir(context.Context, uint32) syscall.Errno { return f.n.d.syncFolder(f.n.path()) }

func (h *handle) Read(_ context.Context, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.sick && h.d.rng.IntN(64) == 0 {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(p[:h.c.read(p, off)]), fs.OK
}

func (h *handle) Write(_ context.Context, p []byte, off int64) (uint32, syscall.Errno) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, syscall.EIO
	}
	if h.d.sick && h.d.rng.IntN(16) == 0 {
		return 0, syscall.EIO
	}
	if !h.d.room(h.c, off, int64(len(p))) {
		return 0, syscall.ENOSPC
	}
	h.c.write(p, off)
	return uint32(len(p)), fs.OK
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if slow := h.d.slow; slow > 0 {
		h.d.mu.Unlock()
		time.Sleep(slow)
		h.d.mu.Lock()
	}
	for h.d.hangs && !h.d.dead {
		h.d.free.Wait()
	}
	if h.d.dead {
		return syscall.EIO
	}
	if h.d.lies {
		return fs.OK
	}
	if h.d.sick && len(h.c.pages) > 0 && h.d.rng.IntN(2) == 0 {
		h.d.wear(h.c)
		clear(h.c.pages)
		h.c.failed++
	}
	if h.told < h.c.failed {
		h.told = h.c.failed
		return syscall.EIO
	}
	return fs.ToErrno(h.c.sync())
}

func (h *handle) Allocate(_ context.Context, off, size uint64, mode uint32) syscall.Errno {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return syscall.EIO
	}
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	// The room is taken at once; how long the file is, a cut may forget.
	if err := syscall.Fallocate(h.c.fd, 1 /* FALLOC_FL_KEEP_SIZE */, int64(off), int64(size)); err != nil {
		return fs.ToErrno(err)
	}
	h.c.reserved = max(h.c.reserved, int64(off+size))
	h.c.size = max(h.c.size, int64(off+size))
	return fs.OK
}

func (h *handle) Flush(context.Context) syscall.Errno { return fs.OK }

func (h *handle) Release(context.Context) syscall.Errno {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.c.handles--
	h.d.reap()
	return fs.OK
}
