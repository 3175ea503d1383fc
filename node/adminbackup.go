package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// The parts of the admin interface whose bodies are backups:
//
//	GET  /backup?rate=B&stale=1   → the file
//	POST /restore?foreign=1  file → Restored
func (n *Node) adminBackups(mux *http.ServeMux) {
	mux.HandleFunc("GET /backup", n.answerBackup)
	mux.HandleFunc("POST /restore", func(w http.ResponseWriter, r *http.Request) {
		foreign := r.URL.Query().Get("foreign") == "1"
		out, err := n.Restore(r.Context(), r.Body, RestoreOptions{Foreign: foreign})
		if err != nil {
			_, _ = io.Copy(io.Discard, r.Body) // who still writes does not read why it was refused
		}
		AnswerAdmin(w, out, err)
	})
}

// answerBackup streams a backup. If it breaks off, so does the connection,
// and the file's end is missing: who receives it notices.
func (n *Node) answerBackup(w http.ResponseWriter, r *http.Request) {
	o := BackupOptions{Stale: r.FormValue("stale") == "1"}
	if text := r.FormValue("rate"); text != "" {
		var err error
		if o.Rate, err = strconv.ParseInt(text, 10, 64); err != nil {
			AnswerAdmin(w, nil, fail(CodeInvalid, "the rate must be a number of bytes per second"))
			return
		}
	}
	b, err := n.startBackup(r.Context(), o)
	if err != nil {
		AnswerAdmin(w, nil, err)
		return
	}
	defer b.stream.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := writeBackup(w, b); err != nil {
		n.log.Warn("a backup broke off", "err", err)
		panic(http.ErrAbortHandler) // the connection ends without the end of the file
	}
	n.log.Info("a backup was taken", "index", b.manifest.Index, "bytes", b.manifest.Size)
}

// Backup writes a backup of the group to w, checked on its way: without an
// error, the file is good.
func (a *Admin) Backup(ctx context.Context, w io.Writer, o BackupOptions) (m Manifest, sum string, err error) {
	path := "/backup?rate=" + strconv.FormatInt(o.Rate, 10)
	if o.Stale {
		path += "&stale=1"
	}
	resp, err := a.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return m, "", err
	}
	defer resp.Body.Close()
	to := &sink{w: w}
	m, sum, err = CopyBackup(to, resp.Body)
	if to.err != nil {
		return m, "", to.err
	}
	if err != nil {
		return m, "", fmt.Errorf("the backup broke off: %w", err)
	}
	return m, sum, nil
}

// sink remembers that it was the writing that failed.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = fmt.Errorf("writing the backup: %w", err)
	}
	return n, err
}

// Restore replaces the group's state by that of a backup: see Node.Restore.
func (a *Admin) Restore(ctx context.Context, r io.Reader, o RestoreOptions) (out Restored, err error) {
	path := "/restore"
	if o.Foreign {
		path += "?foreign=1"
	}
	resp, err := a.send(ctx, http.MethodPost, path, r)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("reading the member's answer: %w", err)
	}
	return out, nil
}

// send sends a request whose body or answer may be of any size.
func (a *Admin) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://parlor"+path, body)
	if err != nil {
		return nil, err
	}
	patient := a.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return nil, a.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return nil, errors.New("the member answered " + resp.Status)
	}
	return nil, decodeError(b)
}
