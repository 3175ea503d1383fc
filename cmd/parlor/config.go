package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// fillFlags gives the flags that were not typed their values from the
// environment and the config file, in that order. A key of the file that is a
// flag of no command at all is an error; one of another command is left to it,
// so that one file serves every command.
func fillFlags(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	if f := cmd.Flags().Lookup("config"); f != nil && !f.Changed {
		if v, ok := lookup(envName("config")); ok {
			if err := f.Value.Set(v); err != nil {
				return wrongUsef("%s: %w", envName("config"), err)
			}
		}
	}
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return err
	}
	file, err := readConfigFile(path, knownFlags(cmd.Root()))
	if err != nil {
		return err
	}
	var firstErr error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || firstErr != nil || f.Name == "config" || f.Name == "help" {
			return
		}
		value, where := "", ""
		if v, ok := lookup(envName(f.Name)); ok {
			value, where = v, envName(f.Name)
		} else if v, ok := file[f.Name]; ok {
			value, where = v, path+": "+f.Name
		} else {
			return
		}
		if err := f.Value.Set(value); err != nil {
			firstErr = wrongUsef("%s: %w", where, err)
			return
		}
		f.Changed = true
	})
	return firstErr
}

// envName gives the environment variable of a flag: data-dir, PARLOR_DATA_DIR.
func envName(flag string) string {
	return "PARLOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// knownFlags gives the names of all flags of all commands.
func knownFlags(root *cobra.Command) map[string]bool {
	known := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		add := func(f *pflag.Flag) { known[f.Name] = true }
		c.Flags().VisitAll(add)
		c.PersistentFlags().VisitAll(add)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
	delete(known, "config")
	delete(known, "help")
	return known
}

// readConfigFile reads a flat YAML file of flag names and values. An empty
// path is an empty file.
func readConfigFile(path string, known map[string]bool) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongUsef("reading the config file: %w", err)
	}
	var raw map[string]any
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&raw); err != nil && !errors.Is(err, io.EOF) {
		return nil, wrongUsef("config file %s: %w", path, err)
	}
	values := make(map[string]string, len(raw))
	for _, key := range sortedKeys(raw) {
		if !known[key] {
			return nil, wrongUsef("config file %s: unknown key %q; keys are the names of flags, such as data-dir", path, key)
		}
		switch v := raw[key].(type) {
		case string, int, bool, float64:
			values[key] = fmt.Sprint(v)
		case []any:
			parts := make([]string, len(v))
			for i, p := range v {
				parts[i] = fmt.Sprint(p)
			}
			values[key] = strings.Join(parts, ",")
		default:
			return nil, wrongUsef("config file %s: %s must be a text, a number, true or false, or a list of those", path, key)
		}
	}
	return values, nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
