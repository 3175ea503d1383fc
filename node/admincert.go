package node

import (
	"context"
	"net/http"
)

// certRoutes are the admin calls about certificates.
//
//	GET  /certs                        → Certificates
//	POST /certs/renew {all}            → [MemberCert]
//	POST /ca/rotate   RotateOptions
func (n *Node) certRoutes(handle func(pattern string, fn func(r *http.Request) (any, error))) {
	handle("GET /certs", func(r *http.Request) (any, error) { return n.Certificates(r.Context()) })
	handle("POST /certs/renew", func(r *http.Request) (any, error) {
		var in renewRequest
		if err := decodeBody(r, &in); err != nil {
			return nil, err
		}
		return n.RenewCertificates(r.Context(), in.All)
	})
	handle("POST /ca/rotate", func(r *http.Request) (any, error) {
		var in RotateOptions
		if err := decodeBody(r, &in); err != nil {
			return nil, err
		}
		return struct{}{}, n.RotateCA(r.Context(), in)
	})
}

type renewRequest struct {
	All bool `json:"all"`
}

// Certificates tells of the certificates of the cluster port.
func (a *Admin) Certificates(ctx context.Context) (out Certificates, err error) {
	return out, a.do(ctx, http.MethodGet, "/certs", nil, &out)
}

// RenewCertificates renews the member's certificate, or everybody's.
func (a *Admin) RenewCertificates(ctx context.Context, all bool) (out []MemberCert, err error) {
	return out, a.do(ctx, http.MethodPost, "/certs/renew", renewRequest{All: all}, &out)
}

// RotateCA begins to replace the group's certificate authority, or goes on
// with it.
func (a *Admin) RotateCA(ctx context.Context, o RotateOptions) error {
	return a.do(ctx, http.MethodPost, "/ca/rotate", o, nil)
}
