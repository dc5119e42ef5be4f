package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench/trial"
)

func newBenchGate() *cobra.Command {
	c := &cobra.Command{
		Use:   "gate GOALS RESULTS",
		Short: "Hold goals against what a suite found",
		Long: `GOALS is a YAML file, a list of {cell, metric, limit, reason}, and with "against" the ratio to another target. RESULTS is the
directory that bench suite --dir wrote, or any results. Exits 3 when a goal failed, 4 when the figures do not tell.

With --allow-disturbed a goal of time that is not met, or was not measured, because no run was quiet is told as skipped and fails nothing: for
machines that have other work. What is counted (system calls, memory, CPU), failed requests and the verification decide all the same.`,
		Example: `  millrace bench suite smoke --dir results && millrace bench gate goals.yaml results
  millrace bench gate goals.yaml results -o json | jq '.judged[] | select(.outcome == "failed")'`,
		Args: needs("GOALS", "RESULTS"),
	}
	allow := c.Flags().Bool("allow-disturbed", false, "skip goals of time that no quiet run was there for")
	output := addOutput(c, "text", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		goals, err := trial.ReadGoals(args[0])
		if err != nil {
			return &failure{exitUsage, "goals", err.Error(), ""}
		}
		suite, err := trial.ReadSuite(args[1])
		if err != nil {
			return &failure{exitFailed, "no_result", err.Error(), "`millrace bench suite --dir DIR` writes such a directory"}
		}
		gated := trial.Gate(goals, suite, *allow)
		if *output == "json" {
			err = printJSON(os.Stdout, gated)
		} else {
			err = printJudged(os.Stdout, gated.Judged, nil)
		}
		if err != nil {
			return err
		}
		return outcome(gated.Judged)
	}
	return c
}
