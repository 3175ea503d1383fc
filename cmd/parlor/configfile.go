package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// systemConfig is where packages put the config file.
const systemConfig = "/etc/parlor/parlor.yaml"

// configName is the config file's name in a data folder.
const configName = "parlor.yaml"

// configFile is what a config file says.
type configFile struct {
	path  string
	found bool        // in the data folder, without being named
	keys  []configKey // in the order of the file
}

// configKey is a line of it.
type configKey struct {
	name, value string
	line        int
}

// get gives the value of a key.
func (f *configFile) get(name string) (configKey, bool) {
	if f == nil {
		return configKey{}, false
	}
	for _, k := range f.keys {
		if k.name == name {
			return k, true
		}
	}
	return configKey{}, false
}

// where names a line of the file.
func (f *configFile) where(k configKey) string {
	return fmt.Sprintf("%s:%d: %s", f.path, k.line, k.name)
}

// findConfig gives the path of the config file that counts, "" if there is
// none: the one that was named, else that of the data folder, else the
// system's. dataDir is empty for commands that have no data folder: they read
// only what was named.
func findConfig(named string, isNamed bool, dataDir string) (string, error) {
	if isNamed {
		return named, nil
	}
	if dataDir == "" {
		return "", nil
	}
	for _, path := range []string{filepath.Join(dataDir, configName), systemConfig} {
		switch _, err := os.Stat(path); {
		case err == nil:
			return path, nil
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission) && path != systemConfig:
			// Who may not look into the data folder will be told so by the command.
		default:
			return "", wrongUsef("looking for the config file: %w", err)
		}
	}
	return "", nil
}

// readConfigFile reads a YAML file of flag names and values. Every mistake in
// it is in the error, each with its line. An empty path is an empty file.
func readConfigFile(path string, known map[string]bool) (*configFile, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongUsef("reading the config file: %w", err)
	}
	f, err := parseConfig(path, content, known)
	if err != nil {
		return nil, &wrongUse{err}
	}
	return f, nil
}

func parseConfig(path string, content []byte, known map[string]bool) (*configFile, error) {
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return &configFile{path: path}, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is more than one document in it", path)
	}
	f := &configFile{path: path}
	if len(doc.Content) != 1 {
		return f, nil
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" { // comments only
		return f, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: a config file is lines of the form key: value, such as data-dir: /var/lib/parlor", path, top.Line)
	}
	var mistakes []error
	wrong := func(line int, format string, a ...any) {
		mistakes = append(mistakes, fmt.Errorf("%s:%d: %s", path, line, fmt.Sprintf(format, a...)))
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		if first, twice := lines[key.Value]; twice {
			wrong(key.Line, "%s was given in line %d already", key.Value, first)
			continue
		}
		lines[key.Value] = key.Line
		if !known[key.Value] {
			wrong(key.Line, "unknown key %q%s", key.Value, suggestion(key.Value, known))
			continue
		}
		text, err := configValue(value)
		if err != nil {
			wrong(value.Line, "%s %v", key.Value, err)
			continue
		}
		f.keys = append(f.keys, configKey{name: key.Value, value: text, line: key.Line})
	}
	return f, errors.Join(mistakes...)
}

// configValue gives a value as a flag takes it. Texts are taken as they were
// written: yes is no boolean, and 1e3 no number, where a flag wants a text.
func configValue(v *yaml.Node) (string, error) {
	switch v.Kind {
	case yaml.ScalarNode:
		if v.Tag == "!!null" {
			return "", errors.New(`has no value; leave the line out, or write "" for an empty text`)
		}
		return v.Value, nil
	case yaml.SequenceNode:
		parts := make([]string, len(v.Content))
		for i, item := range v.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of texts or numbers")
			}
			parts[i] = item.Value
		}
		return strings.Join(parts, ","), nil
	}
	return "", errors.New("must be a text, a number, true or false, or a list of those")
}

// suggestion is the known name that a typo is nearest to, as a question.
func suggestion(typo string, known map[string]bool) string {
	best, far := "", 1+len(typo)/3
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	plain := strings.ReplaceAll(strings.ToLower(typo), "_", "-")
	for _, name := range names {
		if d := distance(plain, name); d < far {
			best, far = name, d
		}
	}
	if best == "" {
		for _, name := range names { // half a name
			if len(plain) >= 3 && (strings.Contains(name, plain) || strings.HasPrefix(plain, name+"-")) {
				best = name
				break
			}
		}
	}
	if best == "" {
		return "; keys are the names of flags, such as data-dir: parlor config show lists them"
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance is how many letters have to be changed, added, left out or swapped
// with their neighbour to make one text of another.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
