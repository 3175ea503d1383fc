package keyspace

import "github.com/parlorchat/parlor/storage"

// limited is a Reader for who must not look at much: who does is ended by a
// panic, wherever he is, so that no command need know of it.
type limited struct {
	storage.Reader
	hurried storage.Hurried // the same; nil: it never takes long
	left    int             // rows
}

// rowBytes is how many bytes of values count as a row.
const rowBytes = 1024

type tooMuch struct{}

func (l *limited) look(value []byte) {
	l.left--
	l.work(int64(len(value)))
}

// work counts bytes that are to be worked on.
func (l *limited) work(bytes int64) {
	if l.left -= int(bytes / rowBytes); l.left < 0 {
		l.end()
	}
}

func (l *limited) Get(key []byte) (value []byte, ok bool) {
	value, ok = l.Reader.Get(key)
	l.look(value)
	return value, ok
}

func (l *limited) Ascend(from, to []byte, fn func(key, value []byte) bool) {
	if l.hurried == nil {
		l.Reader.Ascend(from, to, l.looking(fn))
	} else if !l.hurried.AscendSoon(from, to, l.looking(fn)) {
		l.end()
	}
}

func (l *limited) Descend(from, to []byte, fn func(key, value []byte) bool) {
	if l.hurried == nil {
		l.Reader.Descend(from, to, l.looking(fn))
	} else if !l.hurried.DescendSoon(from, to, l.looking(fn)) {
		l.end()
	}
}

// Before implements storage.Counter.
func (l *limited) Before(prefix, key []byte) (n int64, ok bool) {
	l.look(nil)
	return countBefore(l.Reader, prefix, key)
}

// At implements storage.Counter.
func (l *limited) At(prefix []byte, n int64) (key []byte, ok bool) {
	l.look(nil)
	return keyAt(l.Reader, prefix, n)
}

func (l *limited) end() {
	l.left = -1
	panic(tooMuch{})
}

func (l *limited) looking(fn func(key, value []byte) bool) func(key, value []byte) bool {
	return func(key, value []byte) bool {
		l.look(value)
		return fn(key, value)
	}
}

// Within calls fn, which reads from t, a reader. If it looks at more than so many
// rows, of which a large value is several, or a walk takes long for other reasons
// (storage.Hurried), it is ended in the middle, and Within says that it is not done.
func (t *Tx) Within(rows int, fn func()) (done bool) {
	all := t.rows
	hurried, _ := all.(storage.Hurried)
	t.limit = limited{all, hurried, rows}
	t.rows = &t.limit
	defer func() {
		t.rows = all
		if t.limit.left < 0 { // else a panic is somebody else's
			done = recover() == nil
		}
	}()
	fn()
	return true
}
