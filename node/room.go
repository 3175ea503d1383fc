package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Every member watches how much room it has left: on the file systems of its
// data folder, and below the quota of its table. What it finds goes to the
// leader, who makes it known to the group: see alarm.go.

const (
	// roomShare and roomMost are how much of a file system must be free where
	// nobody has said otherwise: a tenth, but 2 GB at most.
	roomShare = 10
	roomMost  = 2 << 30
	// roomFloor is the part of it that must be free beside the free pages of
	// the table: log and journal cannot use those.
	roomFloor = 4
	// An alarm ends when so many hundredths are free, or no more than those of
	// the quota are used, so that it does not come and go. Half of the floor is
	// enough then: removing rows makes pages free, the file stays as large.
	roomOver   = 150
	quotaBelow = 90
)

// need is how many bytes of a file system of a size must be free.
func (l Limits) need(total uint64) uint64 {
	if l.DiskFree > 0 {
		return uint64(l.DiskFree)
	}
	return min(total/roomShare, roomMost)
}

// usage is what a member has used and left, in bytes.
type usage struct {
	disks    []diskUse
	table    uint64 // used for rows, in the file and in memory
	reusable uint64 // free pages of the table's file
}

type diskUse struct {
	Disk
	path     string
	coming   uint64 // bytes that log and journal may yet take
	rows     uint64 // that wait in memory to be written here
	hasTable bool   // the table can grow into its free pages here
}

// judge says what is too little; "" if there is enough. raised: there was too
// little before, so it takes more to be enough.
func (l Limits) judge(u usage, raised bool) string {
	if l.DiskFree < 0 {
		u.disks = nil
	}
	for _, d := range u.disks {
		if d.Total == 0 {
			continue // this system does not tell
		}
		need := l.need(d.Total)
		wanted, floor := need, need/roomFloor
		if raised {
			wanted, floor = need/100*roomOver, floor/2
		}
		free := d.Free - min(d.Free, d.coming)
		room := free
		if d.hasTable {
			room += u.reusable / 2 // not every gap is large enough for what comes
			room -= min(room, d.rows)
		}
		if room < wanted || free < floor {
			return fmt.Sprintf("the disk of %s has %s left; %s is to be free, and %s more for what is yet to be written",
				d.path, sizeText(d.Free), sizeText(need), sizeText(d.coming+d.rows))
		}
	}
	quota := uint64(max(l.TableQuota, 0))
	most := quota
	if raised {
		most = quota / 100 * quotaBelow
	}
	if quota > 0 && u.table > most {
		return fmt.Sprintf("the table holds %s, its quota is %s", sizeText(u.table), sizeText(quota))
	}
	return ""
}

// usage looks at the disks and at the table. For an alarm to end, the most that
// may wait in memory must fit too: else it would come and go with checkpoints.
func (n *Node) usage(raised bool) usage {
	st := n.db.Stats()
	free := uint64(st.FreePages+st.PendingPages) * uint64(st.PageSize)
	waiting := max(uint64(st.OverlayBytes), uint64(n.opt.Limits.OverlayBytes))
	if raised {
		waiting = max(waiting, uint64(n.opt.Limits.OverlayHard))
	}
	u := usage{reusable: free, table: uint64(st.FileBytes) - min(free, uint64(st.FileBytes)) + uint64(st.OverlayBytes)}
	tableDisk := n.opt.disk(filepath.Join(n.opt.Dir, tableFolder))
	logDisk := n.opt.disk(filepath.Join(n.opt.Dir, logFolder))
	for _, folder := range []string{"", tableFolder, logFolder} {
		path := filepath.Join(n.opt.Dir, folder)
		d := n.opt.disk(path)
		if len(u.disks) > 0 && d.device == u.disks[0].device {
			continue // on the same one as the data folder, as is usual
		}
		use := diskUse{Disk: d, path: path, hasTable: d.device == tableDisk.device}
		if use.hasTable {
			use.coming, use.rows = uint64(n.opt.Limits.OverlayHard), waiting
		}
		if d.device == logDisk.device {
			use.coming += n.logComing()
		}
		u.disks = append(u.disks, use)
	}
	return u
}

// logComing is by how much the log may grow before its beginning is cut off.
func (n *Node) logComing() uint64 {
	l := n.opt.Limits
	most := uint64(l.LogBytes + l.OverlayBytes + 2*int64(l.segmentBytes)) // one is being filled, one is spare
	size := uint64(0)
	entries, err := os.ReadDir(filepath.Join(n.opt.Dir, logFolder))
	if err != nil {
		return most
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else it was cut off just now
			size += uint64(info.Size())
		}
	}
	return most - min(most, size)
}

// watchingRoom looks at the room regularly, and sooner if much is written.
func (n *Node) watchingRoom(ctx context.Context) {
	every := time.NewTicker(n.opt.Timing.Housekeep)
	defer every.Stop()
	for {
		n.watchRoom(ctx)
		select {
		case <-every.C:
		case <-n.wal.grown:
		case <-ctx.Done():
			return
		}
	}
}

// watchRoom has the leader raise this member's alarm or end it, if that is to
// be done.
func (n *Node) watchRoom(ctx context.Context) {
	n.looking.Lock()
	defer n.looking.Unlock()
	raised := n.field(alarmsKey, n.id.NodeID) != nil
	u := n.usage(raised)
	reason := n.opt.Limits.judge(u, raised)
	if reason == "" {
		n.keepBallast(u.disks[0].Disk)
	}
	if reason != "" {
		n.tight = time.Now()
	}
	if (reason != "") == raised || raised && time.Since(n.tight) < n.opt.Timing.Calm {
		return
	}
	if err := n.reportRoom(ctx, reason); err != nil && ctx.Err() == nil {
		n.complain("this node has told nobody how much room it has left", n.id.NodeID, err)
	}
}

// budget is what a member keeps in its log and in memory, where nobody has said
// otherwise: its share of the disk and of the memory it may take, in bytes; 0:
// not known. The more rows wait for a checkpoint, the more of them share a page
// of the data file and the more are written only once; but a start after a
// crash takes the longer.
func (l Limits) budget(disk, memory uint64) Limits {
	if l.OverlayBytes == 0 {
		l.OverlayBytes = int64(min(max(memory/64, overlayBytes), overlayMost))
		if disk > 0 {
			l.OverlayBytes = min(l.OverlayBytes, int64(disk/64))
		}
	}
	if disk == 0 {
		return l
	}
	if l.LogBytes == 0 {
		l.LogBytes = int64(min(logBytes, disk/8))
	}
	if l.segmentBytes == 0 {
		l.segmentBytes = int(min(max(disk/64, 1<<20), segmentBytes))
	}
	return l
}

// withRoom says what to do, if an error is that a disk is full.
func withRoom(dir string, err error) error {
	if err == nil || !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return fail(CodeNoSpace, fmt.Sprintf("the disk is full: make room on it (for a start, delete %s) and start this node again, nothing is lost: %v", filepath.Join(dir, BallastFile), err))
}

// sizeText writes a number of bytes for people.
func sizeText(bytes uint64) string {
	switch {
	case bytes >= 10<<30:
		return fmt.Sprintf("%d GB", bytes>>30)
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
