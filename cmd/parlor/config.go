package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Where the value of a flag comes from, the stronger first.
const (
	fromFlag        = "flag"
	fromEnvironment = "environment"
	fromFile        = "file"
	fromDefault     = "default"
)

// origin tells where a value comes from.
type origin struct {
	kind  string // fromFlag …
	where string // the variable, or the line of the file
}

// settings are where the values of a command's flags come from.
type settings struct {
	file    *configFile // nil: there is none
	origins map[string]origin
}

// fillFlags gives the flags that were not typed their values from the
// environment and the config file, in that order. A key of the file that is a
// flag of no command at all is an error; one of another command is left to it,
// so that one file serves every command.
func fillFlags(cmd *cobra.Command, lookup func(string) (string, bool)) (settings, error) {
	path, isNamed, err := configPath(cmd, lookup)
	if err != nil {
		return settings{}, err
	}
	names := settingNames(cmd.Root())
	file, err := readConfigFile(path, names)
	if err != nil {
		return settings{}, err
	}
	if file != nil {
		file.found = !isNamed && path != systemConfig
	}
	s := settings{file: file, origins: map[string]origin{}}
	var firstErr error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if firstErr != nil || !names[f.Name] && !environmentOnly[f.Name] {
			return
		}
		if f.Changed {
			s.origins[f.Name] = origin{fromFlag, "--" + f.Name}
			return
		}
		var value string
		from := origin{kind: fromDefault}
		if v, ok := lookup(envName(f.Name)); ok {
			value, from = v, origin{fromEnvironment, envName(f.Name)}
		} else if k, ok := file.get(f.Name); ok && names[f.Name] {
			value, from = k.value, origin{fromFile, file.where(k)}
		}
		s.origins[f.Name] = from
		if from.kind == fromDefault {
			return
		}
		if err := f.Value.Set(value); err != nil {
			firstErr = wrongUsef("%s: %w", from.where, err)
			return
		}
		f.Changed = true
	})
	if firstErr != nil {
		return s, firstErr
	}
	return s, checkDataDir(file, cmd)
}

// checkDataDir refuses a file that was found in a data folder and names
// another one.
func checkDataDir(file *configFile, cmd *cobra.Command) error {
	k, ok := file.get("data-dir")
	f := cmd.Flags().Lookup("data-dir")
	if !ok || f == nil || !file.found {
		return nil
	}
	here, err := filepath.Abs(filepath.Dir(file.path))
	if err != nil {
		return err
	}
	if there, err := filepath.Abs(k.value); err != nil || there != here {
		return wrongUsef("%s: the file is in the data folder %s and cannot name another one: take the line out", file.where(k), here)
	}
	return nil
}

// configPath is the config file that counts for a command, "" for none, and
// whether somebody named it.
func configPath(cmd *cobra.Command, lookup func(string) (string, bool)) (path string, isNamed bool, err error) {
	named := ""
	if f := cmd.Flags().Lookup("config"); f != nil && f.Changed {
		named, isNamed = f.Value.String(), true
	} else if v, ok := lookup(envName("config")); ok {
		named, isNamed = v, true
	}
	dir := ""
	if f := cmd.Flags().Lookup("data-dir"); f != nil {
		dir = f.Value.String()
		if v, ok := lookup(envName("data-dir")); ok && !f.Changed {
			dir = v
		}
	}
	path, err = findConfig(named, isNamed, dir)
	return path, isNamed, err
}

// settingCommands are the commands whose flags are settings: what a config
// file may hold. Flags of other commands say what to do now (--force, --all).
var settingCommands = []string{"serve", "init", "join", "demo", "bench"}

// environmentOnly are flags that may come from the environment, but are
// nothing to keep in a file.
var environmentOnly = map[string]bool{"token": true, "json": true}

// envName gives the environment variable of a flag: data-dir, PARLOR_DATA_DIR.
func envName(flag string) string {
	return "PARLOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// settingNames gives the names of the flags that are settings.
func settingNames(root *cobra.Command) map[string]bool {
	names := map[string]bool{}
	for _, name := range settingCommands {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			continue
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !environmentOnly[f.Name] && f.Name != "config" && f.Name != "help" {
				names[f.Name] = true
			}
		})
	}
	return names
}
