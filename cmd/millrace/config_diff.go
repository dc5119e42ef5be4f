package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

type (
	difference struct {
		Name  string  `json:"name"`
		A     *string `json:"a"` // of the first resource
		B     *string `json:"b"` // of the second one, or the default
		From  string  `json:"source_a"`
		FromB string  `json:"source_b"`
	}
	differences struct {
		Schema      string       `json:"schema"`
		A           string       `json:"a"`
		B           string       `json:"b"`
		Differences []difference `json:"differences"`
	}
)

func newConfigDiff() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff RESOURCE [RESOURCE]",
		Short: "Show how settings differ from their defaults, or between two resources",
		Long:  resourceHelp + "\n\nValues that are sensitive are left out: the broker does not tell them.",
		Example: `  millrace config diff topic/orders
  millrace config diff topic/orders topic/payments
  millrace config diff broker/1 broker/2 -o json | jq '.differences | length'`,
		Args:              needs("RESOURCE", "[RESOURCE]"),
		ValidArgsFunction: complete(everyResource),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		var resources []resource
		for _, arg := range args {
			r, err := parseResource(arg)
			if err != nil {
				return usage(c, err)
			}
			resources = append(resources, r)
		}
		if len(resources) == 2 && resources[0].kind != resources[1].kind {
			return usage(c, fmt.Errorf("%s and %s have different settings: want two of a kind", resources[0], resources[1]))
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		var all [2][]setting
		for i, r := range resources {
			if all[i], err = cl.settings(c.Context(), r); err != nil {
				return err
			}
		}
		document := differences{"millrace.config.diff/v1", resources[0].String(), "default", fromDefaults(all[0])}
		if len(resources) == 2 {
			document.B, document.Differences = resources[1].String(), between(all[0], all[1])
		}
		if *output == "json" {
			return printJSON(os.Stdout, document)
		}
		rows := [][]string{{"SETTING", "VALUE", "DEFAULT", "FROM"}}
		if len(resources) == 2 {
			rows[0] = []string{"SETTING", document.A, document.B}
		}
		for _, d := range document.Differences {
			row := []string{d.Name, shown(d.A, false), shown(d.B, false)}
			if len(resources) == 1 {
				row = append(row, d.From)
			}
			rows = append(rows, row)
		}
		if len(rows) == 1 {
			_, err := fmt.Fprintln(os.Stderr, "no difference")
			return err
		}
		return printTable(os.Stdout, rows)
	}
	return c
}

func equal(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// fromDefaults are the settings that are not what they would be by themselves.
func fromDefaults(settings []setting) []difference {
	list := []difference{}
	for _, s := range settings {
		if s.own() && !s.Sensitive && !equal(s.Value, s.Default) {
			list = append(list, difference{s.Name, s.Value, s.Default, s.from(), "default"})
		}
	}
	return list
}

// between are the settings that differ, and those that only one of two resources has.
func between(a, b []setting) []difference {
	list := []difference{}
	others := map[string]setting{}
	for _, s := range b {
		others[s.Name] = s
	}
	for _, s := range a {
		other := others[s.Name]
		delete(others, s.Name)
		if !s.Sensitive && !other.Sensitive && !equal(s.Value, other.Value) {
			list = append(list, difference{s.Name, s.Value, other.Value, s.from(), other.from()})
		}
	}
	for _, other := range others {
		if !other.Sensitive && other.Value != nil {
			list = append(list, difference{other.Name, nil, other.Value, "", other.from()})
		}
	}
	slices.SortFunc(list, func(a, b difference) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
