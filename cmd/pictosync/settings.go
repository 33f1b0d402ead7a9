package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/adrg/xdg"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every setting is a flag; the environment and the configuration file set the
// flags that the command line did not. A setting's name in the file is the
// flag's with underscores (rate, no_create_classes), in the environment the
// same in capitals behind PICTOSYNC_ (PICTOSYNC_RATE).

// commandLineOnly are the flags that the file and the environment do not set.
var commandLineOnly = map[string]bool{"config": true, "help": true, "version": true, "dry-run": true, "plan": true, "force": true, "image": true, "class": true, "diff": true, "full": true, "check": true}

// serviceEnvironment are the variables that the official SDK reads too.
var serviceEnvironment = map[string]string{
	"base-url":    "PICTOGRAPH_BASE_URL",
	"timeout":     "PICTOGRAPH_TIMEOUT",
	"max-retries": "PICTOGRAPH_MAX_RETRIES",
}

// settle fills in the flags of cmd that the command line left alone.
func settle(cmd *cobra.Command, configFile string) error {
	config, err := readConfig(cmd, configFile)
	if err != nil {
		return err
	}
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if failed != nil || f.Changed || commandLineOnly[f.Name] {
			return
		}
		failed = settleFlag(cmd, f, config)
	})
	return failed
}

func settleFlag(cmd *cobra.Command, f *pflag.Flag, config map[string]setting) error {
	for _, variable := range []string{"PICTOSYNC_" + strings.ToUpper(key(f.Name)), serviceEnvironment[f.Name]} {
		if value := os.Getenv(variable); variable != "" && value != "" {
			if f.Name == "timeout" && !strings.ContainsAny(value, "hms") {
				value += "s" // the SDK's variable counts seconds
			}
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				return usagef("read %s from the environment: %w", variable, err)
			}
			return nil
		}
	}
	s, ok := config[key(f.Name)]
	if !ok {
		return nil
	}
	for _, value := range s.values {
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			return usagef("read %s: %s: %w", s.where, key(f.Name), err)
		}
	}
	return nil
}

func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// setting is a value of the configuration file, a list as several.
type setting struct {
	values []string
	where  string // "file:line:column"
}

func readConfig(cmd *cobra.Command, path string) (map[string]setting, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("read the configuration: %w", err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, usagef("read the configuration %s: %w", path, err)
	}
	known := knownSettings(cmd.Root())
	config := make(map[string]setting)
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		var pairs []*ast.MappingValueNode
		switch body := doc.Body.(type) {
		case *ast.MappingNode:
			pairs = body.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{body}
		case *ast.CommentGroupNode:
		default:
			return nil, usagef("read the configuration %s: it must be a mapping of settings, see config.example.yaml", path)
		}
		for _, pair := range pairs {
			name := pair.Key.String()
			position := pair.Key.GetToken().Position
			where := fmt.Sprintf("%s:%d:%d", path, position.Line, position.Column)
			if !known[name] {
				return nil, unknownSetting(where, name, known)
			}
			if _, twice := config[name]; twice {
				return nil, usagef("read %s: %s is set twice", where, name)
			}
			values, err := scalars(pair.Value)
			if err != nil {
				return nil, usagef("read %s: %s: %w", where, name, err)
			}
			config[name] = setting{values: values, where: where}
		}
	}
	return config, nil
}

func unknownSetting(where, name string, known map[string]bool) error {
	var names []string
	for k := range known {
		names = append(names, k)
	}
	if near := nearest(name, names); near != "" {
		return usagef("read %s: unknown setting %q; did you mean %s?", where, name, near)
	}
	return usagef("read %s: unknown setting %q; config.example.yaml lists them all", where, name)
}

// knownSettings are those of every command, so that one file serves them all.
func knownSettings(root *cobra.Command) map[string]bool {
	known := make(map[string]bool)
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !commandLineOnly[f.Name] {
				known[key(f.Name)] = true
			}
		})
	}
	return known
}

func scalars(n ast.Node) ([]string, error) {
	switch v := n.(type) {
	case *ast.SequenceNode:
		var values []string
		for _, item := range v.Values {
			one, err := scalars(item)
			if err != nil {
				return nil, err
			}
			values = append(values, one...)
		}
		return values, nil
	case *ast.NullNode:
		return nil, nil
	case ast.ScalarNode:
		return []string{fmt.Sprint(v.GetValue())}, nil
	}
	return nil, errors.New("a single value or a list is expected")
}

// apiKey reads the key from the environment; there is no flag for it, since a
// command line can be read by everybody on the machine.
func apiKey() (string, error) {
	if k := strings.TrimSpace(os.Getenv("PICTOGRAPH_API_KEY")); k != "" {
		return k, nil
	}
	return "", usagef("no API key: set PICTOGRAPH_API_KEY, or try without an account by adding --sandbox")
}

// statePath is where the state lives when --state does not say.
func statePath(flag string) (string, error) {
	if flag != "" {
		return filepath.Abs(flag)
	}
	path, err := xdg.StateFile(filepath.Join("pictosync", "state.db"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", usagef("find the user's state directory: %w; name a state file with --state", err)
	}
	return path, nil
}
