package chart

import (
	"fmt"
	"strings"
)

// Colours of a series, in the order of the series. Told apart also by those who see fewer colours; lines have dashes besides.
var (
	seriesLight = []string{"#0b66c3", "#cc4a0a", "#0a7d5a", "#8446b8", "#8f6b00", "#58626f"}
	seriesDark  = []string{"#6cb6ff", "#ff9a62", "#4cc9a0", "#cf9fff", "#e3b341", "#a3adb8"}
	heatLight   = []string{"#dbe9f6", "#b9d6ee", "#8fbfe3", "#5fa2d4", "#3a82c2", "#1f62a8", "#12457f", "#0a2a55"}
	heatDark    = []string{"#16304d", "#1d4a75", "#2468a0", "#2f8ac4", "#4fb0dc", "#86d0e8", "#bfe8f0", "#f2fbff"}
)

// Series is how many have a colour of their own; the next one begins anew.
const Series = 6

func colours(paper, ink, quiet, rule, good, bad string, series, heat []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "--paper:%s;--ink:%s;--quiet:%s;--rule:%s;--good:%s;--bad:%s;", paper, ink, quiet, rule, good, bad)
	for i, c := range series {
		fmt.Fprintf(&b, "--s%d:%s;", i, c)
	}
	for i, c := range heat {
		fmt.Fprintf(&b, "--h%d:%s;", i, c)
	}
	return b.String()
}

// Style is the style sheet of the charts, with the colours as variables of the root.
func Style(root string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s{color-scheme:light dark;%s}", root, colours("#ffffff", "#1b2129", "#57606a", "#d5dbe2", "#0a7d5a", "#b3261e", seriesLight, heatLight))
	fmt.Fprintf(&b, "@media(prefers-color-scheme:dark){%s{%s}}", root, colours("#12171e", "#e4e9ef", "#9aa5b1", "#303944", "#4cc9a0", "#ff8a80", seriesDark, heatDark))
	b.WriteString("svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-variant-numeric:tabular-nums;fill:var(--ink)}" +
		"svg .title{font-size:15px;font-weight:600}svg .quiet{fill:var(--quiet)}svg .strong{font-weight:600}" +
		"svg .paper{fill:var(--paper);stroke:var(--rule)}" +
		"svg path{fill:none;stroke-linejoin:round;stroke-linecap:round}" +
		"svg .grid{stroke:var(--rule)}svg .faint{stroke:var(--rule);stroke-opacity:.5}svg .axis{stroke:var(--quiet)}svg .faint-axis{stroke:var(--quiet);stroke-opacity:.5}svg .mark{stroke:var(--ink);stroke-width:1.5}" +
		"svg .limit{stroke:var(--bad);stroke-dasharray:6 4}svg .limit-text{fill:var(--bad)}" +
		"svg .curve{stroke-width:2}svg .member{stroke-width:1;stroke-opacity:.3}svg .tail{stroke-width:1.5;stroke-dasharray:1 4}" +
		"svg .thin{stroke-width:1.5}svg .dotted{stroke-dasharray:2 3}svg .over{stroke:var(--ink);stroke-width:1.2}svg .quiet-line{stroke:var(--quiet);stroke-width:1}svg .area.quiet-line{fill:var(--quiet)}" +
		"svg .asked{stroke:var(--quiet);stroke-width:1.5;stroke-dasharray:4 3}svg .area{stroke:none;fill-opacity:.18}" +
		"svg .hit{fill:transparent}svg .hit:hover{fill:var(--ink);fill-opacity:.08}" +
		"svg .good{fill:var(--good);stroke:var(--good)}svg .bad{fill:var(--bad);stroke:var(--bad)}svg .open{fill:var(--paper);stroke:var(--quiet)}" +
		"svg text.good,svg text.bad,svg text.open{stroke:none}svg text.open{fill:var(--quiet)}svg text.halo{paint-order:stroke;stroke:var(--paper);stroke-width:5px}svg .whisker{stroke:var(--ink);stroke-width:1.5}")
	for i := range Series {
		fmt.Fprintf(&b, "svg path.s%[1]d{stroke:var(--s%[1]d)}svg path.area.s%[1]d,svg rect.s%[1]d,svg circle.s%[1]d{stroke:none;fill:var(--s%[1]d)}svg .hollow.s%[1]d{fill:var(--paper);stroke:var(--s%[1]d);stroke-width:2}", i)
	}
	for i, dash := range []string{"", "7 3", "2 3", "9 3 2 3", "4 4", "12 4"} {
		if dash != "" {
			fmt.Fprintf(&b, "svg .curve.s%d{stroke-dasharray:%s}", i, dash)
		}
	}
	for i, opacity := range []string{"1", ".72", ".5", ".34", ".22"} {
		fmt.Fprintf(&b, "svg .part%d{fill-opacity:%s}", i, opacity)
	}
	for i := range heatLight {
		fmt.Fprintf(&b, "svg path.h%[1]d{stroke:none;fill:var(--h%[1]d)}", i)
	}
	return b.String()
}

func series(i int) string { return fmt.Sprintf("s%d", i%Series) }
