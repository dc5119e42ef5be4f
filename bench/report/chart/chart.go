// Package chart draws the bench's charts as SVG. It knows numbers and their names, not where they come from: report feeds it.
//
// A chart is drawn for a width in pixels and is as high as it needs to be. Colours are CSS variables with a value for a light and one
// for a dark background (see theme.go), so one drawing serves both; no meaning is in a colour alone. A title element in a mark is what
// a browser shows when a pointer rests on it.
package chart

import (
	"fmt"
	"html"
	"strings"
)

// Chart is what can be drawn.
type Chart interface {
	// draw fills the canvas, from c.top down, and returns how high it has become.
	draw(c *canvas) (height float64)
}

// Inline is an SVG element for a page that has Style in its style sheet. The label is what a screen reader says instead.
func Inline(of Chart, width int, label string) string {
	c := &canvas{width: float64(width)}
	height := of.draw(c)
	return fmt.Sprintf(`<svg class="chart" viewBox="0 0 %d %s" width="%d" role="img" aria-label="%s">%s</svg>`,
		width, px(height), width, html.EscapeString(label), c.String())
}

// File is a document of its own, with its title and its own background: a site that embeds it may be light or dark.
func File(of Chart, width int, title, subtitle string) string {
	const margin = 16
	c := &canvas{width: float64(width) - 2*margin}
	fmt.Fprintf(c, `<g transform="translate(%d %d)">`, margin, margin)
	c.text(0, 14, "start", "title", title)
	c.top = 24
	for _, line := range wrap(subtitle, c.width) {
		c.text(0, c.top+10, "start", "quiet", line)
		c.top += 16
	}
	c.top += 8
	height := of.draw(c) + 2*margin
	c.WriteString("</g>")
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]s" width="%[1]d" height="%[2]s" role="img"><title>%[3]s</title><desc>%[4]s</desc>`+
		`<style>%[5]s</style><rect class="paper" x="0.5" y="0.5" width="%[6]d" height="%[7]s" rx="8"/>%[8]s</svg>`+"\n",
		width, px(height), html.EscapeString(title), html.EscapeString(subtitle), Style(":root"), width-1, px(height-1), c.String())
}

// wrap breaks a text into lines that fit.
func wrap(text string, width float64) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && textWidth(line+" "+word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
