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
			if n := s.from; (n+step*1000)%step < s.to-s.from && s.x < right-24 {
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
			fmt.Fprintf(&b, "second %d", s.from)
		} else {
			fmt.Fprintf(&b, "seconds %d to %d", s.from, s.to-1)
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
