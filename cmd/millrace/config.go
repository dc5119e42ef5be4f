package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func newConfig() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Show, change and compare settings of topics, brokers and groups",
		Example: `  millrace config get topic/orders
  millrace config set topic/orders retention.ms=3600000
  millrace config diff broker/1`,
		Args: subcommandsOnly,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConfigGet(), newConfigSet(), newConfigDiff())
	return c
}

func newConfigGet() *cobra.Command {
	c := &cobra.Command{
		Use:   "get RESOURCE [SETTING...] [--all]",
		Short: "Show settings",
		Long: resourceHelp + `

Without names it shows those that somebody set; --all shows the defaults too. -o properties prints lines key=value, -o value only values.`,
		Example: `  millrace config get topic/orders
  millrace config get topic/orders retention.ms -o value
  millrace config get broker/1 --all -o json | jq -r '.settings[].name'`,
		Args:              needs("RESOURCE", "[SETTING...]"),
		ValidArgsFunction: complete(resourceThenSettings("")),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "table", "json", "properties", "value")
	all := c.Flags().Bool("all", false, "show the defaults too")
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := parseResource(args[0])
		if err != nil {
			return usage(c, err)
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		settings, err := cl.settings(c.Context(), r)
		if err != nil {
			return err
		}
		document := settingsDocument{"millrace.config.get/v1", r.String(), []setting{}}
		for _, name := range args[1:] {
			s, err := findSetting(r, settings, name)
			if err != nil {
				return err
			}
			document.Settings = append(document.Settings, *s)
		}
		for _, s := range settings {
			if len(args) == 1 && (*all || s.own()) {
				document.Settings = append(document.Settings, s)
			}
		}
		return document.print(*output)
	}
	return c
}

type settingsDocument struct {
	Schema   string    `json:"schema"`
	Resource string    `json:"resource"`
	Settings []setting `json:"settings"`
}

func (d settingsDocument) print(output string) error {
	switch output {
	case "json":
		return printJSON(os.Stdout, d)
	case "properties", "value":
		for _, s := range d.Settings {
			line := ""
			if s.Value != nil {
				line = *s.Value
			}
			if output == "properties" {
				if s.Value == nil {
					continue
				}
				line = s.Name + "=" + line
			}
			if _, err := fmt.Println(line); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"SETTING", "VALUE", "FROM", "READ-ONLY"}}
	for _, s := range d.Settings {
		readOnly := ""
		if s.ReadOnly {
			readOnly = "yes"
		}
		rows = append(rows, []string{s.Name, s.shown(), s.from(), readOnly})
	}
	return printTable(os.Stdout, rows)
}

func findSetting(r resource, settings []setting, name string) (*setting, error) {
	var names []string
	for i, s := range settings {
		if s.Name == name {
			return &settings[i], nil
		}
		names = append(names, s.Name)
	}
	return nil, &failure{exitFailed, "unknown_setting", fmt.Sprintf("%s has no setting %q", r, name), didYouMean(name, names, fmt.Sprintf("millrace config get %s --all shows those there are", r))}
}
