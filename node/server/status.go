package server

import (
	"encoding/json"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/resp"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// respStatus is what INFO and ROLE show of the member.
func (s *server) respStatus() resp.Status {
	st := s.member.Local()
	out := resp.Status{
		NodeID: st.NodeID, Role: st.Role, Leader: st.Leader, Term: st.Term, Commit: st.Commit,
		Applied: st.Applied, StateHash: st.StateHash, Members: len(st.Members), DiskBytes: st.DataBytes,
	}
	_ = s.member.View(func(tx *keyspace.Tx) error {
		epoch, err := core.Epoch(tx)
		out.Epoch = epoch
		return err
	})
	return out
}

// membersKey is where members announce their addresses: docs/keyspace.md.
const membersKey = "system:members"

// hosts gives the base URLs at which browsers reach the members that have
// one: the loader goes on to another when its own is gone.
func (s *server) hosts() []string {
	var urls []string
	err := s.member.View(func(tx *keyspace.Tx) error {
		return tx.HEach([]byte(membersKey), func(_, document []byte) bool {
			var m struct {
				HTTP string `json:"http"`
			}
			if json.Unmarshal(document, &m) == nil && m.HTTP != "" {
				urls = append(urls, m.HTTP)
			}
			return true
		})
	})
	if err != nil {
		s.log.Warn("reading the members' addresses", "err", err)
	}
	return urls
}
