package server

import (
	"context"
	"path/filepath"

	"github.com/parlorchat/parlor/node"
	"github.com/parlorchat/parlor/node/doctor"
)

// Doctor examines this machine and the member of the data folder, which may or
// may not run, and may not exist yet.
func Doctor(ctx context.Context, o Options) ([]doctor.Finding, error) {
	o, err := o.withAddresses()
	if err != nil {
		return nil, err
	}
	if err := o.checkListening(); err != nil {
		return nil, err
	}
	p := doctor.Patient{
		Dir:    o.Dir,
		Listen: map[string]string{"HTTP": o.HTTP, "RESP": o.RESP},
		Certificates: map[string]string{
			"authority": filepath.Join(o.Dir, "pki", "ca.crt"),
			"node":      filepath.Join(o.Dir, "pki", "node.pem"),
			"node, old": filepath.Join(o.Dir, "pki", "node.crt"),
		},
	}
	if o.RESPCert != "" {
		p.Certificates["RESP"] = o.RESPCert
	}
	id, err := node.Inspect(o.Dir)
	if err == nil {
		p.Listen["cluster"], p.Peers = id.Cluster, id.Peers
		if id.Listen != "" {
			p.Listen["cluster"] = id.Listen
		}
		attend(ctx, &p)
	}
	return doctor.Examine(ctx, p), nil
}

// attend asks the running member, if it runs.
func attend(ctx context.Context, p *doctor.Patient) {
	status, err := node.NewAdmin(p.Dir).Status(ctx)
	if err != nil {
		return
	}
	p.Running, p.Leader, p.Clock = true, status.Leader, status.Clock
	p.Peers, p.Answers = map[string]string{}, map[string]bool{}
	for _, m := range status.Members {
		if m.ID != status.NodeID {
			p.Peers[m.ID], p.Answers[m.ID] = m.Cluster, m.Reachable
		}
	}
}
