//go:build !race

package storage

import "sync"

// tableLock is the lock of a table. Who has it for reading must not take it
// again: from the moment that a writer waits, no reader gets in, and the two
// would wait for each other for good. As nothing shows that until they meet,
// under the race detector the lock says so whenever it is done.
type tableLock = sync.RWMutex
