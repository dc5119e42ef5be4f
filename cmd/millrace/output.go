package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// addOutput gives a command -o; the first choice is the default.
func addOutput(c *cobra.Command, choices ...string) *string {
	format := c.Flags().StringP("output", "o", choices[0], "format of the result: "+strings.Join(choices, ", "))
	completeFlag(c, "output", oneOf(choices...))
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

// printTable writes rows in columns; the first is the heading. Empty cells at the end of a row leave no blanks.
func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			cells = append(cells, printable(cell))
		}
		for len(cells) > 1 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// printable quotes a text of others that would move a terminal's cursor or break a line: a group's name may be any text at all.
func printable(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}

// orDash is a number, or - when there is none.
func orDash(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// ranges writes ascending numbers as short as it can: 0-3,7.
func ranges(numbers []int32) string {
	numbers = slices.Sorted(slices.Values(numbers))
	var b strings.Builder
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, numbers[i])
		if j > i {
			fmt.Fprintf(&b, "-%d", numbers[j])
		}
		i = j + 1
	}
	return b.String()
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
