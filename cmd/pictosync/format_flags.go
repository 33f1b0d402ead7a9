package main

import (
	"github.com/spf13/pflag"

	"pictosync/convert"
	"pictosync/convert/formats"
)

// formatFlags are the flags that single formats have, for reading or for writing, by the names
// of the formats.
type formatFlags struct {
	options map[string]convert.Flags
	flags   map[string]*pflag.FlagSet
}

// addFormatFlags adds the flags that formats make.
func addFormatFlags(f *pflag.FlagSet, made func(convert.Format) convert.Flags) formatFlags {
	all := formatFlags{make(map[string]convert.Flags), make(map[string]*pflag.FlagSet)}
	for _, format := range formats.All() {
		own := made(format)
		if own == nil {
			continue
		}
		flags := pflag.NewFlagSet(format.Name, pflag.ContinueOnError)
		own.Add(flags)
		f.AddFlagSet(flags)
		all.options[format.Name], all.flags[format.Name] = own, flags
	}
	return all
}

func forReading(format convert.Format) convert.Flags {
	if format.Flags == nil {
		return nil
	}
	return format.Flags()
}

func forWriting(format convert.Format) convert.Flags {
	if format.Write == nil || format.Write.Flags == nil {
		return nil
	}
	return format.Write.Flags()
}

// check reads what was given.
func (o formatFlags) check() error {
	for _, own := range o.options {
		if err := own.Check(); err != nil {
			return usageError{err}
		}
	}
	return nil
}

// ofAnother is a flag on the command line that only another format than this one has, and would
// change nothing; nil where there is none.
func (o formatFlags) ofAnother(name string) (found *pflag.Flag, of convert.Format) {
	for _, format := range formats.All() {
		if format.Name == name || o.flags[format.Name] == nil {
			continue
		}
		o.flags[format.Name].VisitAll(func(f *pflag.Flag) {
			if onCommandLine(f) && found == nil {
				found, of = f, format
			}
		})
	}
	return found, of
}
