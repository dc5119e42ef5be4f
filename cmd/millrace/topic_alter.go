package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newTopicAlter() *cobra.Command {
	c := &cobra.Command{
		Use:   "alter NAME... [-c key=value]... [--delete KEY]... [--dry-run]",
		Short: "Change settings of topics",
		Long: `key=value sets, key+=value and key-=value add to and take from a list, --delete goes back to the default. For each topic all of it happens
or nothing. With --dry-run the broker only checks.`,
		Example: `  millrace topic alter orders -c retention.ms=3600000
  millrace topic alter orders payments -c cleanup.policy+=compact --dry-run
  millrace topic alter orders --delete retention.ms`,
		Args:              needs("NAME..."),
		ValidArgsFunction: complete(everyTopic),
	}
	flags := addClientFlags(c, 15*time.Second)
	output := addOutput(c, "text", "json")
	settings := c.Flags().StringArrayP("config", "c", nil, "key=value, key+=value or key-=value; repeatable")
	deleted := c.Flags().StringArrayP("delete", "d", nil, "setting that goes back to its default; repeatable")
	dryRun := c.Flags().Bool("dry-run", false, "only let the broker check it")
	completeFlag(c, "config", topicSettings("="))
	completeFlag(c, "delete", topicSettings(""))
	c.RunE = func(c *cobra.Command, names []string) error {
		changes, err := parseAlterations(*settings, *deleted)
		if err != nil {
			return usage(c, err)
		}
		cl, err := flags.dial(c.Context())
		if err != nil {
			return err
		}
		defer cl.Close()
		var resources []resource
		for _, name := range names {
			resources = append(resources, resource{kmsg.ConfigResourceTypeTopic, name})
		}
		return cl.alterAndPrint(c.Context(), "millrace.topic.alter/v1", resources, changes, *dryRun, *output)
	}
	return c
}
