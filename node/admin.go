package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// The command line talks to the running member over a socket file in the data
// folder: who may use the folder may run the member.

const socketPathMax = 100 // systems allow little more

// AdminSocket is the path of a data folder's socket. If the folder's own path
// is too long for one, it is in the folder for temporary files.
func AdminSocket(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	path := filepath.Join(dir, socketFile)
	if len(path) <= socketPathMax {
		return path
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(os.TempDir(), fmt.Sprintf("parlor-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])), socketFile)
}

func listenAdmin(dir string) (net.Listener, error) {
	path := AdminSocket(dir)
	if err := privateFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("making a place for the admin socket: %w", err)
	}
	// Left behind by a process that was killed: the folder's lock is ours.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing the old admin socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, fmt.Errorf("protecting the admin socket: %w", err)
	}
	return ln, nil
}

func privateFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	return nil
}

// adminHandler is the admin interface: JSON over HTTP. Errors are an Error
// with status 4xx or 5xx.
//
//	GET    /status                → Status
//	GET    /upgrade               → Upgrade
//	GET    /tokens                → [Token]
//	POST   /tokens  {ttl_seconds, uses} → {token}
//	DELETE /tokens/{id}
//	POST   /operations Operation; drain and resume without a member mean this one
//	POST   /checkpoint
//	POST   /reseed                → Reseeded
//	GET    /metrics, /debug/pprof/…
func (n *Node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, fn func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			out, err := fn(r)
			AnswerAdmin(w, out, err)
		})
	}
	handle("GET /status", func(r *http.Request) (any, error) { return n.Status(r.Context()), nil })
	handle("GET /upgrade", func(r *http.Request) (any, error) { return n.Upgrade(r.Context()), nil })
	handle("GET /tokens", func(r *http.Request) (any, error) { return n.Tokens(r.Context()) })
	handle("POST /tokens", func(r *http.Request) (any, error) {
		var in tokenRequest
		if err := decodeBody(r, &in); err != nil {
			return nil, err
		}
		text, err := n.CreateToken(r.Context(), time.Duration(in.TTLSeconds*float64(time.Second)), in.Uses)
		return tokenAnswer{Token: text}, err
	})
	handle("DELETE /tokens/{id}", func(r *http.Request) (any, error) {
		return struct{}{}, n.RevokeToken(r.Context(), r.PathValue("id"))
	})
	handle("POST /operations", func(r *http.Request) (any, error) {
		var op Operation
		if err := decodeBody(r, &op); err != nil {
			return nil, err
		}
		if op.Member == "" && (op.Do == DoDrain || op.Do == DoResume) {
			op.Member = n.id.NodeID
		}
		return struct{}{}, n.Operate(r.Context(), op)
	})
	n.certRoutes(handle)
	handle("POST /checkpoint", func(*http.Request) (any, error) {
		n.checkpoint()
		return struct{}{}, nil
	})
	n.adminBackups(mux)
	for pattern, handle := range n.opt.Admin {
		mux.HandleFunc(pattern, handle)
	}
	handle("POST /reseed", func(r *http.Request) (any, error) { return n.Reseed(r.Context()) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		n.opt.Metrics.WritePrometheus(w)
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

type tokenRequest struct {
	TTLSeconds float64 `json:"ttl_seconds"`
	Uses       int     `json:"uses,omitempty"`
}

type tokenAnswer struct {
	Token string `json:"token"`
}

func decodeBody(r *http.Request, v any) error {
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<16)).Decode(v); err != nil {
		return fail(CodeInvalid, "the request is not valid JSON: "+err.Error())
	}
	return nil
}

// AnswerAdmin answers on the admin socket: with err as an Error, else with out as
// JSON. It is also for the handlers of Options.Admin.
func AnswerAdmin(w http.ResponseWriter, out any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e := fail(CodeInternal, err.Error())
		status := http.StatusInternalServerError
		if errors.As(err, &e) {
			status = http.StatusConflict
		}
		w.WriteHeader(status)
		out = e
	}
	_ = json.NewEncoder(w).Encode(out) // who has gone does not need it
}

// serveAdmin serves until ctx ends.
func (n *Node) serveAdmin(ctx context.Context, ln net.Listener) {
	srv := &http.Server{Handler: n.adminHandler(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		n.log.Error("the admin socket failed", "err", err)
	}
}
