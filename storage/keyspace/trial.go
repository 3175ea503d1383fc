package keyspace

import "github.com/parlorchat/parlor/storage"

// trial is a Writer for who must not change anything: who does is ended by a
// panic, wherever he is, before it.
type trial struct {
	storage.Reader
	changed bool
}

type change struct{}

func (w *trial) change() {
	w.changed = true
	panic(change{})
}

func (w *trial) Set(_, _ []byte)                                       { w.change() }
func (w *trial) Delete([]byte)                                         { w.change() }
func (w *trial) SetRun([]storage.Row)                                  { w.change() }
func (w *trial) SetRoom(int, storage.Room)                             { w.change() }
func (w *trial) Look(from, to []byte, fn func(key, value []byte) bool) { w.Ascend(from, to, fn) }

// Try calls fn, which writes to w. It is ended where it would change something,
// and Try says whether it would. w is at the instant of t, a reader; it is the zero
// Tx, or was used by Try before.
func (t *Tx) Try(w *Tx, fn func()) (changes bool) {
	rows := trial{Reader: t.rows}
	var hash storage.Hash
	w.Renew(&rows, t.now, 0, &hash)
	defer func() {
		if rows.changed { // else a panic is somebody else's
			changes = recover() != nil
		}
	}()
	fn()
	return false
}
