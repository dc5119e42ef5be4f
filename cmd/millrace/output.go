package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// addOutput gives a command -o; the first choice is the default.
func addOutput(c *cobra.Command, choices ...string) *string {
	format := c.Flags().StringP("output", "o", choices[0], "format of the result: "+strings.Join(choices, ", "))
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if !slices.Contains(choices, *format) {
			return usage(c, fmt.Errorf("-o %s: unknown format (allowed %s)", *format, strings.Join(choices, ", ")))
		}
		return nil
	}
	return format
}

// printJSON writes one document.
func printJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// printTable writes rows in columns; the first is the heading.
func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// interactive reports whether a person with a capable terminal looks at the file.
func interactive(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" && os.Getenv("CI") == ""
}

// colours reports whether text on the file may be coloured.
func colours(f *os.File) bool { return interactive(f) && os.Getenv("NO_COLOR") == "" }

// counted is "1 topic", "2 topics".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(int64(n)) + " " + noun + "s"
}

// thousands groups the digits of a number.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
