package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/config"
)

// resourceThenSettings completes a resource, and after it its settings with a suffix.
func resourceThenSettings(suffix string) source {
	return func(ctx context.Context, cl *cluster, args []string, word string) []string {
		if len(args) == 0 {
			return everyResource(ctx, cl, args, word)
		}
		if strings.Contains(word, "=") {
			return nil
		}
		r, err := parseResource(args[0])
		if err != nil {
			return nil
		}
		settings, err := cl.settings(ctx, r)
		if err != nil {
			return nil
		}
		var words []string
		for _, s := range settings {
			if suffix == "" || !s.ReadOnly {
				words = append(words, s.Name+suffix)
			}
		}
		return words
	}
}

func everyResource(ctx context.Context, cl *cluster, args []string, word string) []string {
	kind, _, slash := strings.Cut(word, "/")
	if !slash {
		return []string{"topic/", "broker/", "brokers", "group/"}
	}
	var names, words []string
	switch kind {
	case "topic":
		names = everyTopic(ctx, cl, args, word)
	case "group":
		names = everyGroup(ctx, cl, args, word)
	case "broker", "broker-logger":
		brokers, err := cl.ListBrokers(ctx)
		if err != nil {
			return nil
		}
		for _, id := range brokers.NodeIDs() {
			names = append(names, fmt.Sprint(id))
		}
	}
	for _, name := range names {
		words = append(words, kind+"/"+name)
	}
	return words
}

// topicSettings completes the settings of a topic, with what follows the name: those Millrace knows, as there may be no topic yet.
func topicSettings(suffix string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, word string) (words []string, _ cobra.ShellCompDirective) {
		for _, s := range config.Topic {
			if strings.HasPrefix(s.Name, word) {
				words = append(words, s.Name+suffix+"\t"+s.Doc)
			}
		}
		if suffix == "" {
			return words, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}
