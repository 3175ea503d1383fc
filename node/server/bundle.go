package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/parlorchat/parlor/node"
)

// WriteBundle writes a tar.gz with what somebody needs who is to find out what
// is wrong with a member, and nothing of what people wrote: no table, no log
// entries, no keys. What cannot be had is named in missing.txt.
func WriteBundle(ctx context.Context, w io.Writer, o Options) error {
	b := &bundle{ctx: ctx, at: time.Now()}
	compressed := gzip.NewWriter(w)
	b.tar = tar.NewWriter(compressed)
	b.json("about.json", func() (any, error) { return about(o), nil })
	b.json("doctor.json", func() (any, error) { return Doctor(ctx, o) })
	admin := node.NewAdmin(o.Dir)
	status, err := admin.Status(ctx)
	if err == nil {
		b.json("status.json", func() (any, error) { return status, nil })
		for _, f := range []struct{ name, path string }{
			{"metrics.txt", "/metrics"},
			{"settings.json", "/settings"},
			{"log.txt", "/log"},
			{"goroutines.txt", "/debug/pprof/goroutine?debug=2"},
			{"heap.pprof", "/debug/pprof/heap"},
		} {
			b.add(f.name, func(w io.Writer) error { return admin.Fetch(ctx, f.path, w) })
		}
	} else {
		b.missing = append(b.missing, "what only a running node tells: "+err.Error())
		b.json("storage.json", func() (any, error) { return node.StatStorage(o.Dir) })
	}
	b.json("identity.json", func() (any, error) { return node.Inspect(o.Dir) })
	b.json("files.json", func() (any, error) { return listing(o.Dir) })
	if len(b.missing) > 0 {
		b.add("missing.txt", func(w io.Writer) error {
			for _, m := range b.missing {
				if _, err := fmt.Fprintln(w, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(b.err, b.tar.Close(), compressed.Close())
}

// bundle is an archive in the making.
type bundle struct {
	ctx     context.Context
	at      time.Time
	tar     *tar.Writer
	missing []string
	err     error // of writing the archive
}

// add puts a file into the archive; one that cannot be made is missing.
func (b *bundle) add(name string, fill func(io.Writer) error) {
	if b.err != nil {
		return
	}
	var content bytes.Buffer
	if err := fill(&content); err != nil {
		b.missing = append(b.missing, name+": "+err.Error())
		return
	}
	head := &tar.Header{Name: "parlor-debug/" + name, Mode: 0o600, Size: int64(content.Len()), ModTime: b.at}
	if b.err = b.tar.WriteHeader(head); b.err == nil {
		_, b.err = b.tar.Write(content.Bytes())
	}
}

func (b *bundle) json(name string, value func() (any, error)) {
	b.add(name, func(w io.Writer) error {
		v, err := value()
		if err != nil {
			return err
		}
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
}

// about is what program this is, and on what.
func about(o Options) map[string]any {
	out := map[string]any{
		"version": o.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		"cpus": runtime.NumCPU(), "gomaxprocs": runtime.GOMAXPROCS(0), "at": time.Now().UTC().Format(time.RFC3339),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		modules := map[string]string{}
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		out["modules"] = modules
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
				out[s.Key] = s.Value
			}
		}
	}
	return out
}

// listing is the names, sizes and times of the files in the data folder.
func listing(dir string) ([]map[string]any, error) {
	var out []map[string]any
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil // it has just gone
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil && !d.IsDir() {
			out = append(out, map[string]any{"file": rel, "bytes": info.Size(), "changed": info.ModTime().UTC().Format(time.RFC3339)})
		}
		return err
	})
	return out, err
}
