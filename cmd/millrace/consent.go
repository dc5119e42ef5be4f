package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// consent is what every command that takes something away asks for. One rule for all of them, in consentHelp.
type consent struct{ yes, dryRun bool }

// consentHelp is part of the help of such a command.
const consentHelp = `It is a dry run until you agree: the plan is printed and nothing changes. On a terminal you are asked then; elsewhere it ends with
exit code 2, so that a script does not take it for done. --yes agrees beforehand; --dry-run only shows the plan and exits 0.`

func addConsent(c *cobra.Command) *consent {
	k := &consent{}
	c.Flags().BoolVarP(&k.yes, "yes", "y", false, "do it, do not ask")
	c.Flags().BoolVar(&k.dryRun, "dry-run", false, "only show the plan")
	return k
}

// given reports whether to go on, after the plan was shown. done says what will then have been done: "deleted".
func (k *consent) given(output, done string) (bool, error) {
	switch {
	case k.dryRun:
		if output != "json" && output != "csv" {
			fmt.Fprintf(os.Stderr, "dry run: nothing was %s\n", done)
		}
		return false, nil
	case k.yes:
		return true, nil
	case output != "json" && term.IsTerminal(int(os.Stdin.Fd())):
		fmt.Fprint(os.Stderr, "type yes to go on: ")
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if strings.TrimSpace(answer) == "yes" {
			return true, nil
		}
		return false, &failure{exitFailed, "not_confirmed", "nothing was " + done, ""}
	}
	return false, &failure{exitUsage, "confirmation_needed", "nothing was " + done, "--yes does it without asking, --dry-run only shows the plan"}
}
