package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// needs is the Args of a command that takes the named arguments and no others. A last name that ends in ... takes one or more,
// one in brackets may be missing, and [NAME...] takes any number.
func needs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) && !strings.HasPrefix(name, "[") {
				return fmt.Errorf("%s is missing", strings.TrimSuffix(name, "..."))
			}
		}
		many := len(names) > 0 && strings.Contains(names[len(names)-1], "...")
		if len(args) > len(names) && !many {
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		for _, arg := range args {
			if arg == "" {
				return fmt.Errorf("an argument is empty")
			}
		}
		return nil
	}
}
