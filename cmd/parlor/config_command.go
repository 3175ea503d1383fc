package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The config file: check it, show what counts and why",
		Long: `A setting is given as a flag, in the environment, or in one config file:

  parlor serve --http 0.0.0.0:8080           the flag wins
  PARLOR_HTTP=0.0.0.0:8080 parlor serve      over the environment,
  http: 0.0.0.0:8080                         over the file, over the default

The file is YAML with the names of flags as keys. It is the one that --config
or PARLOR_CONFIG names (an empty name: none at all), else parlor.yaml in the data
folder, else /etc/parlor/parlor.yaml. Only one is read.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configCheckCommand(), configShowCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for mistakes in the config file and the environment, and in the files they name",
		Long: `Reads the settings as parlor serve would, without serving: unknown keys, values of
the wrong kind, certificates that do not fit their keys or have expired. It
prints every mistake of the file with its line; the exit code is 2 if there is one.`,
		Example: "  parlor config check\n  parlor config check --config /etc/parlor/parlor.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, serve, err := serveSettings(cmd, dir)
			if err != nil {
				return err
			}
			if err := checkOthers(cmd.Root(), s.file); err != nil {
				return err
			}
			if err := serve.check(io.Discard); err != nil {
				return &wrongUse{err}
			}
			return printChecked(cmd.OutOrStdout(), s, strayVariables(cmd.Root(), os.Environ()))
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "data folder, in which parlor.yaml is looked for")
	return cmd
}

func configShowCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "What each setting of parlor serve is, and where that comes from",
		Long: `Prints each setting that parlor serve would have here, and whether it comes from
the environment, from which line of the config file, or is the default.
Addresses that init or join were given are remembered in the data folder and
count where nothing else is said.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, serve, err := serveSettings(cmd, dir)
			if err != nil {
				return err
			}
			shown := shownSettings(serve.cmd, s)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
			_, _ = fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
			for _, v := range shown {
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, v.text(), v.From)
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", defaultDataDir, "data folder, in which parlor.yaml is looked for")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return cmd
}

// serveSettings fills the flags of a serve command as if it was called here.
func serveSettings(cmd *cobra.Command, dir string) (settings, *serving, error) {
	serve := newServing()
	root := bareRoot()
	root.AddCommand(serve.cmd, initCommand(), joinCommand(), demoCommand(), benchCommand())
	var args []string
	for flag, value := range map[string]string{"config": cmd.Flag("config").Value.String(), "data-dir": dir} {
		if f := cmd.Flag(flag); f.Changed {
			args = append(args, "--"+flag+"="+value)
		}
	}
	if err := serve.cmd.ParseFlags(args); err != nil {
		return settings{}, nil, err
	}
	s, err := fillFlags(serve.cmd, os.LookupEnv)
	return s, serve, err
}

// checkOthers has the values of keys that are for other commands than serve
// read as those commands would.
func checkOthers(root *cobra.Command, file *configFile) error {
	if file == nil {
		return nil
	}
	for _, k := range file.keys {
		for _, name := range settingCommands {
			cmd, _, err := root.Find([]string{name})
			if err != nil {
				return err
			}
			if f := cmd.Flags().Lookup(k.name); f != nil {
				before := f.Value.String()
				if err := f.Value.Set(k.value); err != nil {
					return wrongUsef("%s: %w", file.where(k), err)
				}
				_ = f.Value.Set(before)
				break
			}
		}
	}
	return nil
}

func printChecked(out io.Writer, s settings, stray []string) error {
	for _, name := range stray {
		_, _ = fmt.Fprintf(out, "%s is set in the environment, but is no setting\n", name)
	}
	if s.file == nil {
		_, err := fmt.Fprintln(out, "ok: there is no config file; parlor config --help tells where one is looked for")
		return err
	}
	_, err := fmt.Fprintf(out, "ok: %s, %d settings\n", s.file.path, len(s.file.keys))
	return err
}

// strayVariables are those of the environment that look like settings, and
// are none.
func strayVariables(root *cobra.Command, environment []string) (stray []string) {
	known := map[string]bool{envName("config"): true, timersRelaxed: true}
	for name := range settingNames(root) {
		known[envName(name)] = true
	}
	for name := range environmentOnly {
		known[envName(name)] = true
	}
	for _, v := range environment {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "PARLOR_") && !strings.HasPrefix(name, "PARLOR_TEST_") && !known[name] {
			stray = append(stray, name)
		}
	}
	slices.Sort(stray)
	return stray
}

// shownSetting is a setting as config show prints it.
type shownSetting struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"` // as the flag's type has it
	From  string          `json:"from"`  // the variable, the line of the file, or default
	plain string
}

func (v shownSetting) text() string {
	if v.plain == "" {
		return `""`
	}
	return v.plain
}

func shownSettings(cmd *cobra.Command, s settings) []shownSetting {
	var out []shownSetting
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		o, ok := s.origins[f.Name]
		if !ok || f.Hidden {
			return
		}
		v := shownSetting{Name: f.Name, From: o.kind, plain: f.Value.String()}
		if o.where != "" {
			v.From = o.where
		}
		switch list, isList := f.Value.(pflag.SliceValue); {
		case isList:
			v.Value, _ = json.Marshal(append([]string{}, list.GetSlice()...))
			v.plain = strings.Join(list.GetSlice(), ",")
		case f.Value.Type() == "bool":
			v.Value = json.RawMessage(v.plain)
		default:
			v.Value, _ = json.Marshal(v.plain)
		}
		out = append(out, v)
	})
	return out
}
