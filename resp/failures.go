package resp

import (
	"bytes"
	"fmt"
	"sync"
)

// maxFailureCodes bounds how many codes of errors are told apart.
const maxFailureCodes = 128

// failures counts errors by their code, for INFO errorstats.
type failures struct {
	mu     sync.Mutex
	counts map[string]int64
}

// add counts an error reply.
func (f *failures) add(text []byte) {
	code, _, _ := bytes.Cut(text, []byte(" "))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = map[string]int64{}
	}
	if _, ok := f.counts[string(code)]; !ok && len(f.counts) >= maxFailureCodes {
		code = []byte("OTHER")
	}
	f.counts[string(code)]++
}

func (f *failures) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts = nil
}

func infoErrorStats(s *session, f *infoFields) error {
	all := &s.server.failures
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, code := range sortedKeys(all.counts) {
		f.add("errorstat_"+code, fmt.Sprintf("count=%d", all.counts[code]))
	}
	return nil
}
