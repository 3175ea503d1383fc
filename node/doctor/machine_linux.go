package doctor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/parlorchat/parlor/metric/memory"
)

// mount is a line of /proc/self/mountinfo.
type mount struct {
	point, fs, source string
	options           []string // of the mount and of the file system
}

// fileSystem looks at what the folder is on, and how it is mounted.
func fileSystem(dir string) []Finding {
	f := Finding{Check: "file system", Status: OK}
	m, err := mountOf(dir)
	if err != nil {
		f.Status, f.Found = Skip, err.Error()
		return []Finding{f}
	}
	f.Found = fmt.Sprintf("%s at %s (%s)", m.fs, m.point, strings.Join(m.options, ","))
	m.judge(&f, ext4Options(m.source))
	return []Finding{f}
}

// judge says what the kind and the options of a file system mean for data.
func (m mount) judge(f *Finding, ext4 string) {
	has := func(option string) bool {
		for _, o := range m.options {
			if o == option {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasPrefix(m.fs, "nfs"), m.fs == "cifs", m.fs == "smb3", m.fs == "9p":
		f.Status, f.Advice = Fail, "use a disk of this machine: over a network file system neither locks nor fsync are to be relied on"
	case strings.HasPrefix(m.fs, "fuse"):
		f.Status, f.Advice = Warn, "use a disk of this machine: not every FUSE file system keeps what fsync promises"
	case m.fs == "tmpfs", m.fs == "ramfs":
		f.Status, f.Advice = Fail, "this is memory: everything is gone when the machine stops"
	case m.fs == "overlay":
		f.Status, f.Advice = Warn, "this is a container's own layer, which goes away with the container: mount a volume for the data folder"
	case has("nobarrier"), has("barrier=0"):
		f.Status, f.Advice = Fail, "mount it without nobarrier: a power cut would corrupt the data"
	case has("ro"):
		f.Status, f.Advice = Fail, "it is mounted read-only: the disk may be broken, look at dmesg"
	case has("data=writeback"):
		f.Status, f.Advice = Warn, "mount it with data=ordered, the default"
	case m.fs == "ext4" && strings.Contains(ext4, "fast_commit"):
		f.Status, f.Advice = Warn, "tune2fs -O ^fast_commit: this feature of ext4 has lost data after power cuts"
	}
}

// ext4Options is what the kernel says of an ext4 file system; "" if nothing.
func ext4Options(source string) string {
	b, err := os.ReadFile(filepath.Join("/proc/fs/ext4", filepath.Base(source), "options"))
	if err != nil {
		return ""
	}
	return string(b)
}

// mountOf finds the mount that a folder is on.
func mountOf(dir string) (best mount, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return best, err
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return best, err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		m, ok := parseMount(lines.Text())
		if !ok || len(m.point) < len(best.point) {
			continue
		}
		if m.point == "/" || dir == m.point || strings.HasPrefix(dir, m.point+"/") {
			best = m
		}
	}
	if best.point == "" {
		return best, fmt.Errorf("the mount of %s cannot be found", dir)
	}
	return best, lines.Err()
}

// parseMount reads: id parent major:minor root point options optional… - fs source options.
func parseMount(line string) (mount, bool) {
	fields := strings.Fields(line)
	for i, f := range fields {
		if f == "-" && i >= 6 && len(fields) >= i+4 {
			point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
			return mount{
				point: point, fs: fields[i+1], source: fields[i+2],
				options: append(strings.Split(fields[5], ","), strings.Split(fields[i+3], ",")...),
			}, true
		}
	}
	return mount{}, false
}

// space looks at what is left of the disk.
func space(dir string) Finding {
	f := Finding{Check: "disk space", Status: OK}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		f.Status, f.Found = Skip, err.Error()
		return f
	}
	total, free := s.Blocks*uint64(s.Bsize), s.Bavail*uint64(s.Bsize)
	f.Found = fmt.Sprintf("%d MB free of %d MB", free>>20, total>>20)
	switch {
	case free < lowDisk:
		f.Status, f.Advice = Fail, "make room: without it the group takes no more writes"
	case free < total/100*lowDiskShare:
		f.Status, f.Advice = Warn, "make room before it is needed: backups and checkpoints need some for a while"
	case s.Files > 0 && s.Ffree < 1000:
		f.Status, f.Found, f.Advice = Warn, fmt.Sprintf("%d files can still be made", s.Ffree), "remove files: the file system has no inodes left"
	}
	return f
}

const (
	adjUnsync = 0x0040 // STA_UNSYNC of adjtimex(2)
)

// clockSource asks the kernel whether somebody keeps its clock right.
func clockSource() []Finding {
	f := Finding{Check: "clock", Status: OK, Found: "synchronised"}
	var t syscall.Timex
	if _, err := syscall.Adjtimex(&t); err != nil {
		f.Status, f.Found = Skip, "the kernel does not tell: "+err.Error()
	} else if t.Status&adjUnsync != 0 {
		f.Status, f.Found = Warn, "nobody keeps this machine's clock right"
		f.Advice = "run chrony or systemd-timesyncd; a source in the house will do, no internet is needed"
	}
	return []Finding{f}
}

// limits looks at what this user's processes may use. A service may have
// others: its unit says so.
func limits() []Finding {
	files := Finding{Check: "open files", Status: OK}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		files.Status, files.Found = Skip, err.Error()
	} else {
		files.Found = fmt.Sprintf("up to %d (at most %d)", l.Cur, l.Max)
		// The Go runtime raises the limit to the hard one by itself.
		switch {
		case l.Max < tooFewFiles:
			files.Status, files.Advice = Fail, "raise it (LimitNOFILE=1048576 in the unit, ulimit -n): each visitor's connection takes one"
		case l.Max < fewFiles:
			files.Status, files.Advice = Warn, "raise it (LimitNOFILE=1048576 in the unit, ulimit -n): each visitor's connection takes one"
		}
	}
	space := Finding{Check: "address space", Status: OK, Found: "unlimited"}
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &l); err != nil {
		space.Status, space.Found = Skip, err.Error()
	} else if l.Cur < 1<<40 {
		space.Status, space.Found = Warn, fmt.Sprintf("%d MB (ulimit -v)", l.Cur>>20)
		space.Advice = "ulimit -v unlimited: the table is mapped once, with room to grow"
	}
	if b, err := os.ReadFile("/proc/sys/vm/overcommit_memory"); err == nil && strings.TrimSpace(string(b)) == "2" {
		space.Status, space.Found = Warn, "vm.overcommit_memory is 2: memory must be there before it is mapped"
		space.Advice = "sysctl vm.overcommit_memory=0, the default"
	}
	return []Finding{files, space}
}

// memoryFindings looks at what there is for a process here, in a container too.
func memoryFindings() []Finding {
	f := Finding{Check: "memory", Status: OK}
	total, available := memory.Total(), memory.Available()
	if total == 0 {
		f.Status, f.Found = Skip, "/proc/meminfo cannot be read"
		return []Finding{f}
	}
	f.Found = fmt.Sprintf("%d MB, of which %d MB are available", total>>20, available>>20)
	limit := memory.Limit()
	if limit < total {
		f.Found += fmt.Sprintf("; %d MB for this container, service or process", limit>>20)
	}
	if limit < littleMemory {
		f.Status, f.Advice = Warn, "give it 1 GB: rows in memory and caches take some hundred megabytes under load"
	}
	return []Finding{f}
}
