package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// every calls f for each command that people see.
func every(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			every(sub, f)
		}
	}
}

// Help begins with the examples; results come as JSON too; whoever takes something away explains the one rule and has its flags.
func TestConventionsOfCommands(t *testing.T) {
	noJSON := []string{"millrace server", "millrace consume", "millrace completion"} // it runs on; -o is the offset, -J is JSON; a script
	destructive := []string{"millrace topic delete", "millrace topic trim", "millrace group delete", "millrace group seek"}
	every(newRoot(), func(c *cobra.Command) {
		path := c.CommandPath()
		if n := strings.Count("\n"+c.Example, "\n  "); n < 2 || n > 4 {
			t.Errorf("%s has %d examples, want 2 or 3", path, n)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.Contains(line, "millrace") {
				t.Errorf("%s: the example %q does not name the program", path, line)
			}
		}
		if c.Short == "" || len(c.Short) > 110 {
			t.Errorf("%s: the short text has %d characters", path, len(c.Short))
		}
		if c.HasSubCommands() {
			return
		}
		f := c.Flags().Lookup("output")
		if hasJSON := f != nil && strings.Contains(f.Usage, "json"); hasJSON == slices.Contains(noJSON, path) {
			t.Errorf("%s: -o json %v", path, hasJSON)
		}
		if c.Flags().Lookup("brokers") != nil && c.Flags().Lookup("timeout") == nil {
			t.Errorf("%s has no --timeout", path)
		}
		has := c.Flags().Lookup("yes") != nil && c.Flags().Lookup("dry-run") != nil && strings.Contains(c.Long, consentHelp)
		if has != slices.Contains(destructive, path) {
			t.Errorf("%s: asks for consent %v", path, has)
		}
	})
}

func TestHelpBeginsWithExamples(t *testing.T) {
	root := newRoot()
	var out strings.Builder
	root.SetOut(&out)
	root.SetArgs([]string{"group", "seek", "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "Move the committed offsets of a group that has no members" || !strings.HasPrefix(lines[2], "  millrace group seek payment") {
		t.Errorf("help begins with\n%s", strings.Join(lines[:3], "\n"))
	}
}

// Exit codes and hints of what a broker refuses.
func TestRefusalsOfBrokers(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit int
		code string
	}{
		{&kadm.AuthError{Err: kerr.TopicAuthorizationFailed}, exitDenied, "topic_authorization_failed"},
		{&kadm.ShardErrors{Errs: []kadm.ShardError{{Err: kerr.GroupAuthorizationFailed}}}, exitDenied, "group_authorization_failed"},
		{kerr.SaslAuthenticationFailed, exitDenied, "sasl_authentication_failed"},
		{kerr.CoordinatorNotAvailable, exitFailed, "coordinator_not_available"},
		{kerr.UnsupportedVersion, exitFailed, "unsupported_version"},
		{context.DeadlineExceeded, exitTimeout, "timeout"},
	} {
		if f := explain(fmt.Errorf("asking: %w", c.err)); f.exit != c.exit || f.code != c.code || f.hint == "" && c.exit != exitTimeout {
			t.Errorf("%v: %+v, want exit code %d, %s, and a hint", c.err, *f, c.exit, c.code)
		}
	}
}
