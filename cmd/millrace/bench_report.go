package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/bench/report"
)

func newBenchReport() *cobra.Command {
	c := &cobra.Command{
		Use:   "report FILE|DIR... [--html FILE] [-o FORMAT]",
		Short: "Show results that were written to files, as a table, a report, charts or lines for other programs",
		Long: `Reads what bench run, bench ab, bench sweep and bench suite wrote, and every such file below a directory. -o benchstat prints lines of
Go's benchmark format, in which several runs of one workload belong together; a run that does not count is left out of them. -o markdown
prints the table of a suite, as documents have it.`,
		Example: `  millrace bench report run.json
  millrace bench report results/ --html report.html
  millrace bench report results/ --svg docs/charts
  millrace bench report before/ -o benchstat > before.txt`,
		Args: needs("FILE..."),
	}
	end := group(c, groupResult)
	out := addResultFlags(c, "markdown")
	var series, svg string
	c.Flags().StringVar(&series, "series", "", "write a row for each second of each run to this file, as CSV")
	c.Flags().StringVar(&svg, "svg", "", "write the charts to this directory, as files for a document to embed")
	end()
	c.RunE = func(c *cobra.Command, paths []string) error {
		if err := out.check(c); err != nil {
			return err
		}
		if err := checkFiles(c, map[string]string{"series": series}); err != nil {
			return err
		}
		d, err := report.Read(paths...)
		if err != nil {
			return &failure{exitFailed, "no_result", err.Error(), "results are what `millrace bench run --json FILE` and `millrace bench suite --dir DIR` write"}
		}
		results := d.All()
		switch *out.output {
		case "markdown":
			err = report.Markdown(os.Stdout, d)
		case "text":
			err = printDocument(os.Stdout, d)
			fallthrough
		default:
			if err == nil {
				err = out.print(os.Stdout, results)
			}
		}
		if err == nil && out.json != "" {
			err = writeFile(out.json, func(w io.Writer) error { return printResults(w, results) })
		}
		if err == nil && series != "" {
			err = writeFile(series, func(w io.Writer) error { return report.SeriesCSV(w, results) })
		}
		if err == nil && out.html != "" {
			err = writeReport(out.html, d)
		}
		if err == nil && svg != "" {
			err = writeDrawings(svg, d)
		}
		return err
	}
	return c
}

// printDocument writes what is more than single runs.
func printDocument(w io.Writer, d report.Document) error {
	for _, c := range d.Comparisons {
		if err := printComparison(w, c); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	for _, s := range d.Sweeps {
		if err := printSwept(w, s); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	return nil
}

// writeDrawings writes the charts and says what they are called.
func writeDrawings(dir string, d report.Document) error {
	all, err := report.Drawings(d)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range all {
		path := filepath.Join(dir, f.Name)
		if err := writeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, f.SVG); return err }); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "chart: %s\n", path)
	}
	return nil
}
