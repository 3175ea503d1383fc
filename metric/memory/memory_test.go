package memory

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestTheFiguresFitEachOther(t *testing.T) {
	total, available, resident, limit := Total(), Available(), Resident(), Limit()
	if runtime.GOOS != "linux" {
		t.Skip("known on Linux only")
	}
	if total == 0 || available == 0 || available > total {
		t.Errorf("%d bytes of %d are available", available, total)
	}
	if limit == 0 || limit > total {
		t.Errorf("this process may hold %d bytes of %d", limit, total)
	}
	if resident == 0 || resident > limit {
		t.Errorf("this process holds %d bytes of %d", resident, limit)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 24))
	if l := Limit(); l != 1<<24 {
		t.Errorf("with GOMEMLIMIT of 16 MB this process may hold %d bytes", l)
	}
	if f := field("/proc/meminfo", "NoSuchThing"); f != 0 {
		t.Errorf("what is not there is %d", f)
	}
}
