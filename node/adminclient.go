package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Admin is the way to the running member of a data folder, for the command
// line.
type Admin struct {
	dir  string
	http http.Client
}

// NewAdmin does not connect yet.
func NewAdmin(dir string) *Admin {
	path := AdminSocket(dir)
	return &Admin{dir: dir, http: http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			},
		},
	}}
}

// Status asks how the member and the group are.
func (a *Admin) Status(ctx context.Context) (s Status, err error) {
	return s, a.do(ctx, http.MethodGet, "/status", nil, &s)
}

// Upgrade asks how far an upgrade of the group is.
func (a *Admin) Upgrade(ctx context.Context) (u Upgrade, err error) {
	return u, a.do(ctx, http.MethodGet, "/upgrade", nil, &u)
}

// CreateToken makes a join token; ttl 0 means an hour, uses 0 any number of
// members.
func (a *Admin) CreateToken(ctx context.Context, ttl time.Duration, uses int) (string, error) {
	var out tokenAnswer
	err := a.do(ctx, http.MethodPost, "/tokens", tokenRequest{TTLSeconds: ttl.Seconds(), Uses: uses}, &out)
	return out.Token, err
}

// Tokens lists join tokens.
func (a *Admin) Tokens(ctx context.Context) (out []Token, err error) {
	return out, a.do(ctx, http.MethodGet, "/tokens", nil, &out)
}

// RevokeToken makes a join token useless.
func (a *Admin) RevokeToken(ctx context.Context, id string) error {
	return a.do(ctx, http.MethodDelete, "/tokens/"+url.PathEscape(id), nil, nil)
}

// Operate has the group do something: see Operation.
func (a *Admin) Operate(ctx context.Context, op Operation) error {
	return a.do(ctx, http.MethodPost, "/operations", op, nil)
}

// ResetDefaultUser lets the user default of the Redis port in again. The front
// door's program answers it: see Options.Admin.
func (a *Admin) ResetDefaultUser(ctx context.Context) error {
	return a.do(ctx, http.MethodPost, "/acl/reset-default", nil, nil)
}

// Checkpoint writes a checkpoint now.
func (a *Admin) Checkpoint(ctx context.Context) error {
	return a.do(ctx, http.MethodPost, "/checkpoint", nil, nil)
}

// Metrics copies the member's metrics, in Prometheus' text form.
func (a *Admin) Metrics(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://parlor/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return a.unreachable(err)
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

func (a *Admin) unreachable(err error) error {
	return fail(CodeUnreachable, fmt.Sprintf("no member is running on the data folder %s: start it with serve (%v)", a.dir, err))
}

func (a *Admin) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://parlor"+path, body)
	if err != nil {
		return err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return a.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		return decodeError(b)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// Fetch copies what the admin socket answers at a path, such as /log or
// /debug/pprof/heap.
func (a *Admin) Fetch(ctx context.Context, path string, w io.Writer) error {
	resp, err := a.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}
