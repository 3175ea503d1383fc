package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// slowLog is a log on a disk that hangs when it is told to.
type slowLog struct {
	*raft.InmemStore
	hang chan struct{}
}

func (l slowLog) StoreLogs(logs []*raft.Log) error {
	<-l.hang
	return l.InmemStore.StoreLogs(logs)
}

func TestAHangingDiskEndsTheProcess(t *testing.T) {
	hang := make(chan struct{})
	l := &watchedLog{LogStore: slowLog{raft.NewInmemStore(), hang}, observed: func(float64) {}}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go l.guard(ctx, 50*time.Millisecond, func(err error) { ended <- err })
	stored := make(chan error)
	go func() { stored <- l.StoreLog(&raft.Log{Index: 1, Term: 1}) }()
	if err := <-ended; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("the process ended for %v", err)
	}
	close(hang)
	if err := <-stored; err != nil {
		t.Fatal(err)
	}
}

func TestTheWatchdogLeavesAWorkingDiskAlone(t *testing.T) {
	hang := make(chan struct{})
	close(hang)
	l := &watchedLog{LogStore: slowLog{raft.NewInmemStore(), hang}, observed: func(float64) {}}
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		l.guard(ctx, time.Second, func(err error) { t.Errorf("ended: %v", err) })
	}()
	for i := uint64(1); i <= 20_000; i++ {
		if err := l.StoreLog(&raft.Log{Index: i, Term: 1, Data: []byte("0123456789")}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-looked
	if size := l.entrySize(); size != 74 {
		t.Errorf("an entry is said to take %d bytes", size)
	}
}
