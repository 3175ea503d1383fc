//go:build race

package storage

import (
	"bytes"
	"runtime"
	"sync"
)

// tableLock panics if a goroutine takes it for reading that has it so: see the
// other tableLock. Whoever else takes it twice waits for itself every time.
type tableLock struct {
	sync.RWMutex
	readers sync.Map // goroutines, by what names them in a stack trace
}

func (l *tableLock) RLock() {
	name := goroutine()
	if _, has := l.readers.Load(name); has {
		panic("storage: the table is asked by who is reading it: within View, ask the Reader and the State that it gives")
	}
	l.RWMutex.RLock()
	l.readers.Store(name, nil)
}

func (l *tableLock) RUnlock() {
	l.readers.Delete(goroutine())
	l.RWMutex.RUnlock()
}

// goroutine is what the first line of a stack trace calls this goroutine.
func goroutine() string {
	line := make([]byte, 32)
	line = line[:runtime.Stack(line, false)]
	return string(bytes.Fields(line)[1])
}
