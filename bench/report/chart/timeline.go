package chart

import (
	"fmt"
	"math"
	"strings"
)

// Timeline is what happened second by second: tracks above each other on one axis of time, so that what caused what can be seen.
// Several runs stand one after another.
type Timeline struct {
	Heat   *Heat // the top track; nil: none
	Tracks []Track
	Runs   []int // how many seconds each has
	First  int   // the number of the first second of a run
}

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

// span is some seconds of a run that share a column.
type span struct {
	run, from, to int
	x, width      float64
}

func (f Timeline) draw(c *canvas) float64 {
	left, right := 52.0, c.width-4
	begin, seconds := c.top, 0
	for _, n := range f.Runs {
		seconds += n
	}
	spans := f.spans(left, right, seconds)
	if f.Heat != nil {
		f.Heat.draw(c, spans, left, right)
	}
	for i := range f.Tracks {
		f.Tracks[i].draw(c, spans, left, right)
	}
	f.axis(c, spans, begin, left, right, seconds)
	f.hits(c, spans, begin)
	return c.top + 20
}

// spans shares the width among the seconds, at least three pixels for a column. A column is never of two runs.
func (f Timeline) spans(left, right float64, seconds int) (all []span) {
	each := max(1, int(math.Ceil(float64(seconds)*3/(right-left))))
	wide := (right - left) / float64(max(1, seconds))
	x := left
	for run, n := range f.Runs {
		for from := 0; from < n; from += each {
			s := span{run: run, from: from, to: min(from+each, n), x: x}
			s.width = float64(s.to-s.from) * wide
			x += s.width
			all = append(all, s)
		}
	}
	return all
}

func (f Timeline) axis(c *canvas, spans []span, begin, left, right float64, seconds int) {
	if len(f.Runs) == 1 {
		step := 1
		for _, s := range []int{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 36000} {
			if step = s; float64(seconds)/float64(s) <= c.width/55 {
				break
			}
		}
		for _, s := range spans {
			if n := f.First + s.from; (n+step*1000)%step < s.to-s.from && s.x < right-24 {
				label := fmt.Sprintf("%d s", (n+step-1)/step*step)
				c.line(s.x, c.top, s.x, c.top+4, "axis")
				c.text(s.x+2, c.top+16, "start", "quiet", label)
			}
		}
		return
	}
	for i, s := range spans {
		if s.from != 0 {
			continue
		}
		if i > 0 {
			c.line(s.x, begin+18, s.x, c.top, "faint-axis")
		}
		if float64(f.Runs[s.run])/float64(seconds)*(right-left) > 40 {
			c.text(s.x+3, c.top+16, "start", "quiet", fmt.Sprintf("run %d", s.run+1))
		}
	}
}

// hits are what a pointer finds above each column: all that is known of it.
func (f Timeline) hits(c *canvas, spans []span, begin float64) {
	for _, s := range spans {
		var b strings.Builder
		if len(f.Runs) > 1 {
			fmt.Fprintf(&b, "run %d, ", s.run+1)
		}
		if s.to-s.from == 1 {
			fmt.Fprintf(&b, "second %d", f.First+s.from)
		} else {
			fmt.Fprintf(&b, "seconds %d to %d", f.First+s.from, f.First+s.to-1)
		}
		if f.Heat != nil {
			for i := range f.Heat.Lines {
				if v := f.Heat.Lines[i].value(s); !math.IsNaN(v) {
					fmt.Fprintf(&b, "\n%s %s", f.Heat.Lines[i].Name, Millis(v))
				}
			}
		}
		for _, t := range f.Tracks {
			for i := range t.Lines {
				if v := t.Lines[i].value(s); !math.IsNaN(v) {
					fmt.Fprintf(&b, "\n%s %s", t.Lines[i].Name, t.Label(v))
				}
			}
		}
		c.rect(s.x, begin, s.width, c.top-begin, "hit", b.String())
	}
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

// thin takes labels away until those that are left are so many pixels apart.
func (s *scale) thin(apart float64) {
	last := math.Inf(1)
	for i, t := range s.ticks {
		if t.label == "" {
			continue
		}
		if math.Abs(s.at(t.value)-last) < apart {
			s.ticks[i].label = ""
			continue
		}
		last = s.at(t.value)
	}
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
