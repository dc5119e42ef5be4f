package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/report"
	"github.com/millrace/millrace/bench/trial"
)

// resultFlags say where results go: stdout, and files beside it.
type resultFlags struct {
	output         *string
	json, html     string
	allowDisturbed bool
}

// addResultFlags adds them. more are formats that only this command has.
func addResultFlags(c *cobra.Command, more ...string) *resultFlags {
	r := &resultFlags{}
	f := c.Flags()
	r.output = addOutput(c, append([]string{"text", "json", "csv", "benchstat"}, more...)...)
	f.StringVar(&r.json, "json", "", "write the result to this file too")
	f.StringVar(&r.html, "html", "", "write a report to this file, one that needs no network")
	f.BoolVar(&r.allowDisturbed, "allow-disturbed", false, "exit 0 though the machine was disturbed, and the generator late on it; the result stays marked")
	return r
}

// check refuses a file that could not be written, before a run that may take an hour.
func (r *resultFlags) check(c *cobra.Command) error {
	return checkFiles(c, map[string]string{"json": r.json, "html": r.html})
}

// checkFiles takes files by the flags that name them.
func checkFiles(c *cobra.Command, files map[string]string) error {
	for flag, file := range files {
		if file == "" {
			continue
		}
		dir := filepath.Dir(file)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usage(c, fmt.Errorf("--%s %s: there is no directory %s", flag, file, dir))
		}
		info, err := os.Stat(file)
		if err == nil && info.IsDir() {
			return usage(c, fmt.Errorf("--%s %s: this is a directory, want the name of a file", flag, file))
		}
		if err != nil || info.Mode().IsRegular() { // it is put there under another name and renamed
			if err := unix.Access(dir, unix.W_OK); err != nil {
				return usage(c, fmt.Errorf("--%s %s: directory %s cannot be written: %w", flag, file, dir, err))
			}
		}
	}
	return nil
}

// write prints and stores results, and fails when one of them does not count.
func (r *resultFlags) write(results ...*bench.Result) error {
	if err := r.store(results); err != nil {
		return err
	}
	return r.judge(results)
}

// store prints results and writes the files.
func (r *resultFlags) store(results []*bench.Result) error {
	if err := r.print(os.Stdout, results); err != nil {
		return err
	}
	return r.files(results)
}

// files writes the files that were asked for.
func (r *resultFlags) files(results []*bench.Result) error {
	if r.json != "" {
		if err := writeFile(r.json, func(w io.Writer) error { return printResults(w, results) }); err != nil {
			return err
		}
	}
	if r.html == "" {
		return nil
	}
	return writeReport(r.html, report.Document{Results: results})
}

// writeReport writes the file and says where it is.
func writeReport(file string, d report.Document) error {
	if err := writeFile(file, func(w io.Writer) error { return report.Page(w, d) }); err != nil {
		return err
	}
	if path, err := filepath.Abs(file); err == nil {
		file = path
	}
	_, err := fmt.Fprintf(os.Stderr, "report: %s\n", file)
	return err
}

// printResults writes one result as it is, and several as a document of them.
func printResults(w io.Writer, results []*bench.Result) error {
	if len(results) == 1 {
		return printJSON(w, results[0])
	}
	return printJSON(w, trial.Results{Schema: trial.ResultsSchema, Results: results})
}

func (r *resultFlags) print(w io.Writer, results []*bench.Result) error {
	switch *r.output {
	case "json":
		return printResults(w, results)
	case "csv":
		return report.CSV(w, results)
	case "benchstat":
		return report.Benchstat(w, results)
	}
	for i, result := range results {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := report.Text(w, result); err != nil {
			return err
		}
	}
	return nil
}

// judge turns results into the exit code: what is wrong with the broker counts before what is wrong with the measurement.
func (r *resultFlags) judge(results []*bench.Result) error {
	var lost, unsound []string
	for _, result := range results {
		name := ""
		if result.Spec.Name != "" {
			name = result.Spec.Name + ": "
		}
		switch {
		case !result.Verdict.Intact():
			lost = append(lost, name+result.Verdict.String())
		case result.Errors > 0:
			lost = append(lost, name+counted(int(result.Errors), "request")+" failed: "+strings.Join(result.Verdict.Examples, "; "))
		case r.allowDisturbed && len(result.Disturbed) > 0: // which is why a generator may have been late, too
		case len(result.Invalid) > 0:
			unsound = append(unsound, name+"the generator was the bottleneck: "+strings.Join(result.Invalid, "; "))
		case len(result.Disturbed) > 0:
			unsound = append(unsound, name+"the machine was disturbed: "+strings.Join(result.Disturbed, "; "))
		}
	}
	switch {
	case len(lost) > 0:
		return &failure{exitUnhealthy, "verification", "the verification failed: " + strings.Join(lost, "\n  "), ""}
	case len(unsound) > 0:
		return unsoundFailure(unsound)
	}
	return nil
}

func unsoundFailure(why []string) *failure {
	return &failure{exitUnsound, "unsound", "the figures do not count: " + strings.Join(why, "\n  "),
		"a machine that nobody else uses, more of it for the generator, or a lower --rate; --allow-disturbed takes a disturbed machine for what it is"}
}

// writeFile writes a file whole or not at all; what is no file, such as /dev/stdout, is written to.
func writeFile(name string, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Chmod(0o644), f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return os.Rename(f.Name(), name)
}
