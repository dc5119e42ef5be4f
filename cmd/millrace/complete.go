package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newCompletion() *cobra.Command {
	shells := map[string]func(*cobra.Command) error{
		"bash":       func(root *cobra.Command) error { return root.GenBashCompletionV2(os.Stdout, true) },
		"zsh":        func(root *cobra.Command) error { return root.GenZshCompletion(os.Stdout) },
		"fish":       func(root *cobra.Command) error { return root.GenFishCompletion(os.Stdout, true) },
		"powershell": func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(os.Stdout) },
	}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the script that completes commands in a shell",
		Long: `The script completes commands, flags, and the names of topics, groups and settings, for which it asks the broker of -b or
MILLRACE_BROKERS for at most a second. For every new shell:

  bash        millrace completion bash > /etc/bash_completion.d/millrace       # needs the package bash-completion
  zsh         millrace completion zsh > "${fpath[1]}/_millrace"
  fish        millrace completion fish > ~/.config/fish/completions/millrace.fish
  powershell  millrace completion powershell >> $PROFILE`,
		Example: `  source <(millrace completion bash)
  source <(millrace completion zsh)
  millrace completion fish | source`,
		Args:              needs("SHELL"),
		ValidArgsFunction: oneOf("bash", "zsh", "fish", "powershell"),
		RunE: func(c *cobra.Command, args []string) error {
			script, ok := shells[args[0]]
			if !ok {
				return usage(c, fmt.Errorf("unknown shell %q (allowed bash, zsh, fish, powershell)", args[0]))
			}
			return script(c.Root())
		},
	}
}

// completeFlag says what completes a flag's value.
func completeFlag(c *cobra.Command, flag string, words cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // no such flag, or twice
	}
}

// nothing completes what only the user knows; it keeps the shell from offering files.
func nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// oneOf completes fixed words, one argument of them.
func oneOf(words ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// patience is how long somebody who pressed Tab waits for a broker.
const patience = time.Second

// source asks a cluster for words; args are those already on the line.
type source func(ctx context.Context, cl *cluster, args []string, word string) []string

// complete offers words that are not on the line yet.
func complete(from source) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		words := ask(c, from, args, word)
		words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(args, w) })
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !strings.HasSuffix(w, "=") && !strings.HasSuffix(w, "/") }) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return words, directive
	}
}

// completeFirst completes only the first argument.
func completeFirst(from source) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(from)(c, args, word)
	}
}

// ask is silent when no broker answers: there is nowhere to say so.
func ask(c *cobra.Command, from source, args []string, word string) []string {
	if environment(c) != nil {
		return nil
	}
	brokers, err := c.Flags().GetStringSlice("brokers")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	flags := clientFlags{brokers, patience}
	cl, err := flags.dial(ctx)
	if err != nil {
		return nil
	}
	defer cl.Close()
	return slices.DeleteFunc(from(ctx, cl, args, word), func(w string) bool { return !strings.HasPrefix(w, word) })
}

func everyTopic(ctx context.Context, cl *cluster, _ []string, _ string) []string {
	topics, err := cl.ListTopics(ctx)
	if err != nil {
		return nil
	}
	return topics.Names()
}

func everyGroup(ctx context.Context, cl *cluster, _ []string, _ string) []string {
	groups, err := cl.groups(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}
