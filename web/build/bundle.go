package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// entries are the bundles by the name they get in dist.
var entries = []api.EntryPoint{
	{InputPath: "src/loader/main.ts", OutputPath: "loader"},
	{InputPath: "src/window/main.tsx", OutputPath: "window"},
	{InputPath: "src/console/main.tsx", OutputPath: "console"},
	{InputPath: "src/demo/main.ts", OutputPath: "demo"},
	{InputPath: "src/window/window.css", OutputPath: "window"},
	{InputPath: "src/console/console.css", OutputPath: "console"},
	{InputPath: "src/demo/demo.css", OutputPath: "demo"},
}

// copied are files that go into dist as they are.
var copied = map[string]string{
	"icon.svg":     "src/icon.svg",
	"licences.txt": "vendor/preact/LICENSE",
}

// bundle makes everything of dist from the sources in dir, by name.
func bundle(dir string) (map[string][]byte, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", dir, err)
	}
	result := api.Build(options(root, entries))
	if len(result.Errors) > 0 {
		return nil, failure(result.Errors)
	}
	files := map[string][]byte{}
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	for name, from := range copied {
		if files[name], err = os.ReadFile(filepath.Join(root, from)); err != nil {
			return nil, fmt.Errorf("reading %s: %w", from, err)
		}
	}
	return files, nil
}

// options are the same for what is shipped and for what is tested, so that the
// tests run the code that browsers get.
func options(root string, from []api.EntryPoint) api.BuildOptions {
	preact := filepath.Join(root, "vendor", "preact")
	return api.BuildOptions{
		AbsWorkingDir:       root,
		EntryPointsAdvanced: from,
		Outdir:              filepath.Join(root, "dist"),
		Bundle:              true,
		MinifyWhitespace:    true,
		MinifyIdentifiers:   true,
		MinifySyntax:        true,
		Charset:             api.CharsetUTF8,
		Format:              api.FormatIIFE,
		Target:              api.ES2020,
		JSX:                 api.JSXAutomatic,
		JSXImportSource:     "preact",
		LegalComments:       api.LegalCommentsNone,
		TreeShaking:         api.TreeShakingTrue,
		TsconfigRaw:         `{"compilerOptions":{"useDefineForClassFields":false}}`,
		Plugins:             []api.Plugin{shadowStyles},
		Alias: map[string]string{
			"preact":             filepath.Join(preact, "dist", "preact.mjs"),
			"preact/hooks":       filepath.Join(preact, "hooks", "dist", "hooks.mjs"),
			"preact/jsx-runtime": filepath.Join(preact, "jsx-runtime", "dist", "jsxRuntime.mjs"),
		},
	}
}

// shadowStyles makes the loader's style sheet, which goes into its shadow root,
// a minified text that it can import.
var shadowStyles = api.Plugin{
	Name: "shadow-styles",
	Setup: func(build api.PluginBuild) {
		build.OnLoad(api.OnLoadOptions{Filter: `[/\\\\]loader[/\\\\][^/\\\\]+\.css$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			source, err := os.ReadFile(args.Path)
			if err != nil {
				return api.OnLoadResult{}, fmt.Errorf("reading a style sheet: %w", err)
			}
			result := api.Transform(string(source), api.TransformOptions{
				Loader: api.LoaderCSS, MinifyWhitespace: true, MinifySyntax: true, Target: api.ES2020, Charset: api.CharsetUTF8,
			})
			if len(result.Errors) > 0 {
				return api.OnLoadResult{Errors: result.Errors}, nil
			}
			text := strings.TrimSpace(string(result.Code))
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderText}, nil
		})
	},
}

func failure(messages []api.Message) error {
	text := api.FormatMessages(messages, api.FormatMessagesOptions{Kind: api.ErrorMessage})
	var all []error
	for _, t := range text {
		all = append(all, errors.New(t))
	}
	return fmt.Errorf("bundling: %w", errors.Join(all...))
}

func names(files map[string][]byte) []string {
	var all []string
	for name := range files {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

// packedSize is what the body weighs on the wire: the budgets are about this.
func packedSize(body []byte) (int, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(body); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	return out.Len(), nil
}
