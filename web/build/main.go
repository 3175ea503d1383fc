// Command build bundles the browser's sources (web/src) into web/dist, which is
// committed and embedded. Run it after every change of a source:
//
//	go run ./web/build
//
// It needs no Node: esbuild is a Go module. The names of what it makes are
// stable and the same sources make the same bytes; the test beside this file
// holds dist to that.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", "web", "folder of the package web")
	flag.Parse()
	if err := run(*dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// run writes dist anew: what is no longer made is removed.
func run(dir string, out *os.File) error {
	files, err := bundle(dir)
	if err != nil {
		return err
	}
	dist := filepath.Join(dir, "dist")
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dist, err)
	}
	old, err := os.ReadDir(dist)
	if err != nil {
		return fmt.Errorf("reading %s: %w", dist, err)
	}
	for _, e := range old {
		if _, ok := files[e.Name()]; !ok {
			if err := os.Remove(filepath.Join(dist, e.Name())); err != nil {
				return fmt.Errorf("removing what is not made any more: %w", err)
			}
		}
	}
	for _, name := range names(files) {
		if err := os.WriteFile(filepath.Join(dist, name), files[name], 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		packed, err := packedSize(files[name])
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-14s %6d bytes, %6d compressed\n", name, len(files[name]), packed)
	}
	return nil
}
