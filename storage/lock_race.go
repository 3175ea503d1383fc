//go:build race

package storage

import (
	"bytes"
	"runtime"
	"sync"
)

// tableLock panics if a goroutine takes it that has it: see the other lock.
type tableLock struct {
	sync.RWMutex
	holders sync.Map // goroutines, by what names them in a stack trace
}

func (l *tableLock) Lock() {
	l.check()
	l.RWMutex.Lock()
	l.holders.Store(goroutine(), nil)
}

func (l *tableLock) RLock() {
	l.check()
	l.RWMutex.RLock()
	l.holders.Store(goroutine(), nil)
}

func (l *tableLock) Unlock() {
	l.holders.Delete(goroutine())
	l.RWMutex.Unlock()
}

func (l *tableLock) RUnlock() {
	l.holders.Delete(goroutine())
	l.RWMutex.RUnlock()
}

func (l *tableLock) check() {
	if _, has := l.holders.Load(goroutine()); has {
		panic("storage: the table is asked by who has it already, by View or by a batch")
	}
}

// goroutine is what the first line of a stack trace calls this goroutine.
func goroutine() string {
	line := make([]byte, 32)
	line = line[:runtime.Stack(line, false)]
	return string(bytes.Fields(line)[1])
}
