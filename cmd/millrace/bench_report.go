package main

import (
	"github.com/spf13/cobra"
)

func newBenchReport() *cobra.Command {
	c := &cobra.Command{
		Use:   "report FILE|DIR... [--html FILE] [-o FORMAT]",
		Short: "Show results that were written to files, as a table, a report or lines for other programs",
		Long: `Reads results that bench run, bench ab and bench suite wrote, and every one below a directory. -o benchstat prints lines of Go's
benchmark format, in which several runs of one workload belong together.`,
		Example: `  millrace bench report run.json
  millrace bench report results/ --html report.html
  millrace bench report before/ -o benchstat > before.txt`,
		Args: needs("FILE..."),
	}
	end := group(c, groupResult)
	out := addResultFlags(c)
	end()
	c.RunE = func(c *cobra.Command, paths []string) error {
		if err := out.check(c); err != nil {
			return err
		}
		results, err := readResults(paths...)
		if err != nil {
			return err
		}
		return out.store(results)
	}
	return c
}
