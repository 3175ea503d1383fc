package node

import (
	"context"
	"net/http"
)

// Reseed gives the member the group's state. It takes as long as sending the
// whole table does.
func (a *Admin) Reseed(ctx context.Context) (out Reseeded, err error) {
	patient := Admin{dir: a.dir, http: a.http}
	patient.http.Timeout = 0
	return out, patient.do(ctx, http.MethodPost, "/reseed", nil, &out)
}
