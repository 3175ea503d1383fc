package storage

import "os"

// steadyFile is a file that goes to the disk as it grows, without a sync: what
// the system holds back and writes at once, at the end, makes everybody wait
// who has something to put on the same disk, the log first of all. With the
// usual file systems even the sync of another file waits for it.
type steadyFile struct {
	*os.File
	written int64
	behind  int64  // up to here it was asked to go to the disk
	rest    func() // called after each piece; may be nil
}

// steadyBytes is how much goes to the disk at a time.
const steadyBytes = 512 << 10

// Write implements io.Writer.
func (s *steadyFile) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	s.written += int64(n)
	if err == nil && s.written-s.behind >= steadyBytes {
		err = flushRange(s.File, s.behind, s.written)
		s.behind = s.written
		if s.rest != nil {
			s.rest()
		}
	}
	return n, err
}
