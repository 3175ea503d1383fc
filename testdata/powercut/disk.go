package main

import (
	"context"
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

// disk is a file system that keeps in memory what was written, until it is
// told to sync. A cut of the power loses the rest, or some of it: each page
// that was not synced may have come to the medium or not. What was done to a
// folder (made, renamed, removed) and not synced is undone, from some moment on.
type disk struct {
	medium string // folder with what is on the medium
	attic  string // removed files that a cut may bring back
	mount  string
	rng    *rand.Rand
	server *fuse.Server
	lies   bool // it says that it has synced, and has not

	mu    sync.Mutex
	dead  bool
	files map[uint64]*content // by inode
	done  []change            // to folders, not synced, oldest first
	names int

	lost, kept, undone int // pages and changes at cuts, for the report
}

// content is a file with writes that are not on the medium.
type content struct {
	fd     int // of the file on the medium
	pages  map[int64][]byte
	size   int64
	backed int64 // so much of the file on the medium still counts
}

// change is something done to a folder.
type change struct {
	folders [2]string
	undo    func() error
}

func newDisk(base, name string, seed uint64) (*disk, error) {
	d := &disk{
		medium: filepath.Join(base, name, "medium"), attic: filepath.Join(base, name, "attic"), mount: filepath.Join(base, name, "mnt"),
		rng: rand.New(rand.NewPCG(seed, 1)),
	}
	for _, dir := range []string{d.medium, d.attic, d.mount} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return d, d.on()
}

// on mounts the disk.
func (d *disk) on() error {
	d.dead, d.files, d.done = false, map[uint64]*content{}, nil
	root := &fs.LoopbackRoot{Path: d.medium}
	root.NewNode = func(data *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: data}, d: d}
	}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: root}, d: d}
	root.RootNode = top
	server, err := fs.Mount(d.mount, top, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMount: true, FsName: "forgets", Name: "forgets", MaxWrite: 1 << 20,
	}})
	if err != nil {
		return fmt.Errorf("mounting %s: %w", d.mount, err)
	}
	d.server = server
	return server.WaitMount()
}

// cut takes the power away: from now on nothing is written any more.
func (d *disk) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// off unmounts the disk after a cut, when nobody uses it, and leaves on the
// medium what a power cut may leave.
func (d *disk) off() error {
	var err error
	for range 200 {
		if err = d.server.Unmount(); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", d.mount, err)
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
		if err := d.done[i].undo(); err != nil {
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
func (d *disk) wear(c *content) {
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
func (d *disk) content(path string, st *syscall.Stat_t) (*content, error) {
	if c := d.files[st.Ino]; c != nil {
		return c, nil
	}
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &content{fd: fd, pages: map[int64][]byte{}, size: st.Size, backed: st.Size}
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
	c.size, c.backed = size, min(c.backed, size)
}

// sync brings a file to the medium.
func (c *content) sync() error {
	if err := syscall.Ftruncate(c.fd, c.backed); err != nil {
		return err
	}
	for at, page := range c.pages {
		if _, err := syscall.Pwrite(c.fd, page, at*pageSize); err != nil {
			return err
		}
	}
	clear(c.pages)
	c.backed = c.size
	return syscall.Ftruncate(c.fd, c.size)
}

// change notes something done to folders; the caller holds mu.
func (d *disk) change(a, b string, undo func() error) {
	d.done = append(d.done, change{folders: [2]string{a, b}, undo: undo})
}

// syncFolder makes what was done to a folder last.
func (d *disk) syncFolder(path string) syscall.Errno {
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
	d.done = d.done[last+1:] // a file system's journal is written in order
	return fs.OK
}

// save keeps a file that goes away, so that a cut can bring it back.
func (d *disk) save(path string) (saved string, err error) {
	d.names++
	saved = filepath.Join(d.attic, fmt.Sprint(d.names))
	return saved, os.Link(path, saved)
}

// node is a file or folder of the mounted disk.
type node struct {
	fs.LoopbackNode
	d *disk
}

func (n *node) path() string { return filepath.Join(n.RootData.Path, n.Path(n.Root())) }

// handle is an open file.
type handle struct {
	d *disk
	c *content
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
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
	return &handle{n.d, c}, 0, fs.OK
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
	n.d.change(n.path(), n.path(), func() error { return os.Remove(path) })
	return inode, &handle{n.d, c}, 0, fs.OK
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
		n.d.change(n.path(), n.path(), func() error { return os.Rename(saved, path) })
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
		n.d.change(n.path(), target.path(), func() error {
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
	return fuse.ReadResultData(p[:h.c.read(p, off)]), fs.OK
}

func (h *handle) Write(_ context.Context, p []byte, off int64) (uint32, syscall.Errno) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, syscall.EIO
	}
	h.c.write(p, off)
	return uint32(len(p)), fs.OK
}

func (h *handle) Fsync(context.Context, uint32) syscall.Errno {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return syscall.EIO
	}
	if h.d.lies {
		return fs.OK
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
	h.c.size = max(h.c.size, int64(off+size))
	return fs.OK
}

func (h *handle) Flush(context.Context) syscall.Errno { return fs.OK }

func (h *handle) Release(context.Context) syscall.Errno { return fs.OK }
