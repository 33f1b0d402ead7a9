package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/adrg/xdg"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pictosync/internal/nearest"
	"pictosync/internal/yamldoc"
	"pictosync/source"
)

// Every setting is a flag; the environment and the configuration file set the
// flags that the command line did not. A setting's name in the file is the
// flag's with underscores (rate, no_create_classes), in the environment the
// same in capitals behind PICTOSYNC_ (PICTOSYNC_RATE).

const environmentPrefix = "PICTOSYNC_"

// commandLineOnly are the flags that the file and the environment do not set.
var commandLineOnly = map[string]bool{"config": true, "help": true, "version": true, "dry-run": true, "plan": true, "force": true, "image": true, "class": true, "classes": true, "diff": true, "rows": true, "full": true, "check": true, "unlabelled": true, "abandon": true}

// forThisCommand marks flags of a command that share their names with settings of others
// that mean something else, or that are about one call alone.
func forThisCommand(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if err := f.SetAnnotation(name, thisCommand, nil); err != nil {
			panic(err) // a flag that is not there
		}
	}
}

const thisCommand = "this command"

// configured marks flags that the environment or a configuration sets, for this source and others.
const configured = "configured"

// onCommandLine reports whether a flag was given for this call.
func onCommandLine(f *pflag.Flag) bool {
	_, marked := f.Annotations[configured]
	return f.Changed && !marked
}

func isSetting(f *pflag.Flag) bool {
	_, marked := f.Annotations[thisCommand]
	return !marked && !commandLineOnly[f.Name]
}

// serviceEnvironment are the variables that the official SDK reads too.
var serviceEnvironment = map[string]string{
	"base-url":    "PICTOGRAPH_BASE_URL",
	"timeout":     "PICTOGRAPH_TIMEOUT",
	"max-retries": "PICTOGRAPH_MAX_RETRIES",
}

// applySettings fills in the flags of cmd that the command line left alone.
func applySettings(cmd *cobra.Command, configFile string) error {
	c, err := readConfig(cmd.Root(), configFile)
	if err != nil {
		return err
	}
	return c.apply(cmd.Flags())
}

// apply fills in the flags that nothing has set yet.
func (c configuration) apply(flags *pflag.FlagSet) error {
	var failed error
	service, sandbox := c.nearness(flags, "base-url"), c.nearness(flags, "sandbox")
	if given := flags.Lookup("base-url"); service > 0 && service == sandbox && given.Value.String() != "sandbox" && given.Changed && flags.Lookup("sandbox").Value.String() == "true" {
		return usagef("read --base-url: with --sandbox there is no other service; leave one of the two out")
	}
	elsewhere := service > sandbox // said nearer than that it is a sandbox
	flags.VisitAll(func(f *pflag.Flag) {
		if failed != nil || f.Changed || !isSetting(f) || f.Name == "sandbox" && elsewhere {
			return
		}
		failed = c.applyFlag(flags, f)
	})
	return failed
}

// nearness is how near to the command line a setting is given.
func (c configuration) nearness(flags *pflag.FlagSet, name string) int {
	f := flags.Lookup(name)
	switch {
	case f == nil:
		return 0
	case f.Changed:
		return 3
	case variableOf(f) != "":
		return 2
	case c.settings[key(name)].values != nil:
		return 1
	}
	return 0
}

func (c configuration) applyFlag(flags *pflag.FlagSet, f *pflag.Flag) error {
	if variable := variableOf(f); variable != "" {
		value := os.Getenv(variable)
		if f.Name == "timeout" && !strings.ContainsAny(value, "hms") {
			value += "s" // the SDK's variable counts seconds
		}
		if err := flags.Set(f.Name, value); err != nil {
			return usagef("read %s from the environment: %w", variable, plainly(err))
		}
		return flags.SetAnnotation(f.Name, configured, nil)
	}
	s, ok := c.settings[key(f.Name)]
	if !ok {
		return nil
	}
	if err := s.set(flags, f.Name); err != nil {
		return err
	}
	return flags.SetAnnotation(f.Name, configured, nil)
}

// set sets a flag to what the file says.
func (s setting) set(flags *pflag.FlagSet, flag string) error {
	if _, list := flags.Lookup(flag).Value.(pflag.SliceValue); !list { // else the last of them would count
		if err := s.single(key(flag)); err != nil {
			return err
		}
	}
	for _, value := range s.values {
		if err := flags.Set(flag, value); err != nil {
			return usagef("read %s: %s: %w", s.where, key(flag), plainly(err))
		}
	}
	return nil
}

// single refuses a list where one value is meant.
func (s setting) single(name string) error {
	if len(s.values) > 1 {
		return usagef("read %s: %s takes one value, and this is a list of %d", s.where, name, len(s.values))
	}
	return nil
}

// variableOf is the variable of the environment that sets a flag, "" for none.
func variableOf(f *pflag.Flag) string {
	for _, variable := range []string{environmentPrefix + strings.ToUpper(key(f.Name)), serviceEnvironment[f.Name]} {
		if variable != "" && os.Getenv(variable) != "" {
			return variable
		}
	}
	return ""
}

func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// setting is a value of the configuration file, a list as several.
type setting struct {
	values []string
	where  string // "file:line:column"
}

// configuration is a configuration file. The zero value is none.
type configuration struct {
	settings map[string]setting
	jobs     []jobConfig
}

// jobConfig is an entry of jobs.
type jobConfig struct {
	where    string
	settings map[string]setting
}

// readConfig reads a configuration file, "" for none, and looks through the
// environment for what only looks like a setting.
func readConfig(root *cobra.Command, path string) (c configuration, err error) {
	if err := checkEnvironment(root); err != nil || path == "" {
		return c, err
	}
	data, err := source.ReadSmall(path)
	if err != nil {
		return c, usagef("read the configuration %s: %w", path, err)
	}
	docs, err := yamldoc.Parse(data)
	if err != nil {
		return c, usagef("read the configuration %s: %w", path, err)
	}
	known := knownSettings(root)
	c.settings = make(map[string]setting)
	for _, doc := range docs {
		if !yamldoc.IsMapping(doc) {
			return c, usagef("read the configuration %s: it must be a mapping of settings, see config.example.yaml", path)
		}
		pairs, err := yamldoc.Pairs(doc)
		if err != nil {
			return c, usagef("read the configuration %s: %w", path, err)
		}
		for _, pair := range pairs {
			if name, where := pair.Key.Value, position(path, pair.Key); name == "jobs" {
				if c.jobs != nil {
					return c, usagef("read %s: jobs is set twice", where)
				}
				c.jobs, err = jobsOf(path, where, pair.Value)
			} else if !known[name] {
				err = unknownSetting(where, name, known)
			} else {
				err = addSetting(c.settings, where, pair)
			}
			if err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// jobsOf reads the list of jobs. What each may hold is known to who runs it.
func jobsOf(path, where string, n *yamldoc.Node) ([]jobConfig, error) {
	list, ok := yamldoc.List(n)
	if !ok {
		return nil, usagef("read %s: jobs must be a list", where)
	}
	jobs := []jobConfig{}
	for _, entry := range list {
		pairs, err := yamldoc.Pairs(entry)
		if err != nil && yamldoc.IsMapping(entry) {
			return nil, usagef("read %s: %w", position(path, entry), err)
		}
		if len(pairs) == 0 {
			return nil, usagef("read %s: a job must be a mapping of settings, as {name: cars, sync: /data/cars, dataset: cars}", position(path, entry))
		}
		j := jobConfig{where: position(path, pairs[0].Key), settings: make(map[string]setting)}
		for _, pair := range pairs {
			if err := addSetting(j.settings, position(path, pair.Key), pair); err != nil {
				return nil, err
			}
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func addSetting(settings map[string]setting, where string, pair yamldoc.Pair) error {
	name := pair.Key.Value
	if _, twice := settings[name]; twice {
		return usagef("read %s: %s is set twice", where, name)
	}
	values, err := scalars(pair.Value)
	if err != nil {
		return usagef("read %s: %s: %w", where, name, err)
	}
	settings[name] = setting{values: values, where: where}
	return nil
}

func position(path string, n *yamldoc.Node) string {
	return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column)
}

func unknownSetting(where, name string, known map[string]bool) error {
	if near := nearest.Name(name, append(slices.Collect(maps.Keys(known)), "jobs")); near != "" {
		return usagef("read %s: unknown setting %q; did you mean %s?", where, name, near)
	}
	return usagef("read %s: unknown setting %q; config.example.yaml lists them all", where, name)
}

// checkEnvironment refuses a dry run that is asked for where it is not read: the run
// would save. A name that is near to a setting's is told of; others mean nothing here,
// as an orchestrator sets them for a service that is called pictosync, and as whoever
// deploys it names its version, its container's image or the file behind --config.
func checkEnvironment(root *cobra.Command) error {
	settings := sync.OnceValue(func() map[string]bool { return knownSettings(root) }) // mostly nobody asks
	for _, entry := range os.Environ() {
		variable, value, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(variable, environmentPrefix)
		if !ours || value == "" || strings.HasPrefix(variable, alertVariable) {
			continue
		}
		name = strings.ToLower(name)
		if name == "dry_run" {
			return usagef("read %s from the environment: --dry-run is for the command line alone", variable)
		}
		if settings()[name] || commandLineOnly[strings.ReplaceAll(name, "_", "-")] {
			continue
		}
		if near := nearest.Name(name, slices.Collect(maps.Keys(settings()))); near != "" {
			fmt.Fprintf(os.Stderr, "pictosync: %s in the environment is no setting; did you mean %s%s?\n", variable, environmentPrefix, strings.ToUpper(near))
		}
	}
	return nil
}

// knownSettings are those of every command, so that one file serves them all.
func knownSettings(root *cobra.Command) map[string]bool {
	known := make(map[string]bool)
	for _, c := range root.Commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if isSetting(f) {
				known[key(f.Name)] = true
			}
		})
	}
	return known
}

func scalars(n *yamldoc.Node) ([]string, error) {
	list, ok := yamldoc.List(n)
	if !ok {
		list = []*yamldoc.Node{n}
	}
	var values []string
	for _, item := range list {
		if yamldoc.Null(item) {
			continue
		}
		one, err := yamldoc.Text(item)
		if err != nil {
			return nil, errors.New("a single value or a list is expected")
		}
		values = append(values, one)
	}
	return values, nil
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
	path := filepath.Join(xdg.StateHome, "pictosync", "state.db")
	if flag != "" {
		var err error
		if path, err = filepath.Abs(flag); err != nil {
			return "", err
		}
	}
	// By whatever link it is reached, it is one state, under one lock.
	for range 40 { // as many links as the system follows
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, nil
		}
		target, err := os.Readlink(path) // to what is not there yet
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path, nil
}
