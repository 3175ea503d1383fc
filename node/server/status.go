package server

import (
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
		Expired: s.member.ExpiredKeys(),
	}
	_ = s.member.View(func(tx *keyspace.Tx) error {
		epoch, err := core.Epoch(tx)
		out.Epoch = epoch
		return err
	})
	return out
}
