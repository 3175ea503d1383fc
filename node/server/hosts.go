package server

import (
	"encoding/json"
	"sync"

	"github.com/parlorchat/parlor/storage/keyspace"
)

// Where members announce their addresses, and who of them is not to be used:
// docs/keyspace.md.
const (
	membersKey  = "system:members"
	drainingKey = "system:draining"
)

// hosts gives the base URLs at which browsers reach the members that have
// one: the loader goes on to another when its own is gone. Members that are
// drained are left out, unless all are.
func (s *server) hosts() []string {
	var urls, drained []string
	err := s.member.View(func(tx *keyspace.Tx) error {
		var failed error
		err := tx.HEach([]byte(membersKey), func(id, document []byte) bool {
			var m struct {
				HTTP string `json:"http"`
			}
			if json.Unmarshal(document, &m) != nil || m.HTTP == "" {
				return true
			}
			_, marked, err := tx.HGet([]byte(drainingKey), id)
			switch {
			case err != nil:
				failed = err
			case marked:
				drained = append(drained, m.HTTP)
			default:
				urls = append(urls, m.HTTP)
			}
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		return err
	})
	if err != nil {
		s.log.Warn("reading the members' addresses", "err", err)
	}
	if len(urls) == 0 {
		return drained
	}
	return urls
}

// draining passes on what an operator wants to the HTTP server, which may
// only be about to come.
type draining struct {
	mu sync.Mutex
	on bool
	to interface {
		Drain()
		Resume()
	}
}

// drained hears from the member.
func (s *server) drained(on bool) {
	d := &s.draining
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = on
	d.tell()
}

// followDrain makes the HTTP server follow.
func (s *server) followDrain() {
	d := &s.draining
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = s.http
	d.tell()
}

// tell needs mu.
func (d *draining) tell() {
	switch {
	case d.to == nil:
	case d.on:
		d.to.Drain()
	default:
		d.to.Resume()
	}
}
