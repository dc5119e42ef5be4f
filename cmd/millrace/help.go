package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "Show what a command does",
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			command, rest, err := c.Root().Find(args)
			if err == nil {
				err = subcommandsOnly(command, rest)
			}
			if err != nil {
				return usage(c.Root(), err)
			}
			return command.Help()
		},
	}
}

// printHelp begins with what one can type. It is no template of cobra's, because text/template calls methods by name, for which the
// linker keeps every exported method: a quarter of the binary.
func printHelp(c *cobra.Command, _ []string) {
	var b strings.Builder
	if c.Short != "" {
		b.WriteString(c.Short + "\n\n")
	}
	if c.HasExample() {
		b.WriteString(c.Example + "\n\n")
	}
	use := c.UseLine()
	if c.HasAvailableSubCommands() {
		use = c.CommandPath() + " COMMAND"
	}
	b.WriteString("Usage:\n  " + use + "\n")
	if c.Long != "" {
		b.WriteString("\n" + strings.TrimRight(c.Long, " \n") + "\n")
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if c.HasAvailableLocalFlags() {
		b.WriteString("\n" + strings.TrimRight(flagUsages(c.LocalFlags()), " \n") + "\n")
	}
	if c.HasAvailableSubCommands() {
		b.WriteString("\n" + c.CommandPath() + " COMMAND --help says more.\n")
	}
	c.Print(b.String())
}

const flagGroup = "group" // annotation of a flag

// group begins a group of flags in the help of a command; end takes in those that were added since.
func group(c *cobra.Command, name string) (end func()) {
	c.Flags().SortFlags = false // as they are added: the most used come first
	before := map[string]bool{}
	c.Flags().VisitAll(func(f *pflag.Flag) { before[f.Name] = true })
	return func() {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !before[f.Name] {
				f.Annotations = map[string][]string{flagGroup: {name}}
			}
		})
	}
}

// helpWidth is where the texts of grouped flags are broken: those commands have many.
const helpWidth = 132

// flagUsages explains flags group by group, in the order in which they were added; those without a group come last.
func flagUsages(flags *pflag.FlagSet) string {
	groups := map[string]*pflag.FlagSet{}
	var order []string
	flags.VisitAll(func(f *pflag.Flag) {
		name := ""
		if g := f.Annotations[flagGroup]; len(g) > 0 {
			name = g[0]
		}
		if groups[name] == nil {
			groups[name] = pflag.NewFlagSet(name, pflag.ContinueOnError)
			groups[name].SortFlags = flags.SortFlags
			if name != "" {
				order = append(order, name)
			}
		}
		groups[name].AddFlag(f)
	})
	if len(order) == 0 {
		return "Flags:\n" + flags.FlagUsages()
	}
	var b strings.Builder
	for _, name := range order {
		b.WriteString(name + ":\n" + groups[name].FlagUsagesWrapped(helpWidth) + "\n")
	}
	if rest := groups[""]; rest != nil {
		b.WriteString("Other flags:\n" + rest.FlagUsages())
	}
	return b.String()
}
