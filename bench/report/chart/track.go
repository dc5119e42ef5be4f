package chart

import (
	"fmt"
	"math"
	"strings"
)

// Track is a small chart of its own above the common axis.
type Track struct {
	Name  string
	Label func(float64) string // of a value
	Log   bool
	High  float64 // of the axis, so that timelines beside each other have the same; 0: what the lines need
	Lines []TrackLine
}

// TrackLine has a value for each second of each run; one that is not known is not a number.
type TrackLine struct {
	Name   string
	Class  string // asked, or that of a series
	Area   bool   // filled down to the axis
	Peak   bool   // where seconds share a column the largest counts, not the mean
	Values [][]float64
}

// value is the line's at a column.
func (l *TrackLine) value(s span) float64 {
	if s.run >= len(l.Values) {
		return math.NaN()
	}
	sum, n, peak := 0.0, 0, math.NaN()
	for _, v := range l.Values[s.run][min(s.from, len(l.Values[s.run])):min(s.to, len(l.Values[s.run]))] {
		if math.IsNaN(v) {
			continue
		}
		sum, n = sum+v, n+1
		if !(peak > v) {
			peak = v
		}
	}
	switch {
	case n == 0:
		return math.NaN()
	case l.Peak:
		return peak
	}
	return sum / float64(n)
}

func (t *Track) draw(c *canvas, spans []span, left, right float64) {
	const height = 58.0
	c.text(left, c.top+11, "start", "strong", t.Name)
	if len(t.Lines) > 1 {
		x := left + textWidth(t.Name)*1.08 + 20
		for _, l := range t.Lines {
			if x+24+textWidth(l.Name) > right {
				break
			}
			c.line(x, c.top+7, x+18, c.top+7, l.Class)
			c.text(x+23, c.top+11, "start", "quiet", l.Name)
			x += 23 + textWidth(l.Name) + 14
		}
	}
	top, floor := c.top+20, c.top+20+height
	high, low := t.High, math.Inf(1)
	for i := range t.Lines {
		for _, s := range spans {
			if v := t.Lines[i].value(s); !math.IsNaN(v) {
				high = max(high, v)
				if v > 0 {
					low = min(low, v)
				}
			}
		}
	}
	y := linear(high, floor, top, 2, t.Label)
	if t.Log {
		y = logarithmic(low, high, floor, top, t.Label)
		y.thin(16)
	}
	c.yAxis(y, left, right)
	for i := range t.Lines {
		t.Lines[i].draw(c, spans, y, floor)
	}
	c.top = floor + 12
}

// draw draws steps: a value is that of the whole column.
func (l *TrackLine) draw(c *canvas, spans []span, y *scale, floor float64) {
	var points []point
	var area strings.Builder
	run := 0
	for _, s := range spans {
		v := l.value(s)
		if s.run != run {
			points = append(points, point{s.x, math.NaN()})
			run = s.run
		}
		at := y.at(v)
		points = append(points, point{s.x, at}, point{s.x + s.width, at})
		if l.Area && !math.IsNaN(v) {
			fmt.Fprintf(&area, "M%s %sV%sH%sV%sZ", px(s.x), px(floor), px(at), px(s.x+s.width), px(floor))
		}
	}
	if area.Len() > 0 {
		fmt.Fprintf(c, `<path class="area %s" d="%s"/>`, l.Class, area.String())
	}
	c.polyline(points, l.Class)
}
