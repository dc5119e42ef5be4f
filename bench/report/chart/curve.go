package chart

import (
	"fmt"
	"math"
)

// Curve is latency by percentile, on an axis on which every further nine takes the same room: the tail is what it is drawn for.
type Curve struct {
	Lines []CurveLine
	Limit float64 // ms, of an objective; 0: none
}

// CurveLine is one target.
type CurveLine struct {
	Name    string
	Series  int
	Points  []CurvePoint   // ascending
	Members [][]CurvePoint // the runs that Points merges, drawn thin
	Carried float64        // nines up to which enough samples lie beyond; the rest is dotted
	Marks   []CurvePoint   // percentiles with a dot, and what a pointer is told there
}

// CurvePoint says that so many nines of the samples took at most so long.
type CurvePoint struct{ Nines, Millis float64 }

func (f Curve) draw(c *canvas) float64 {
	low, high, most := math.Inf(1), 0.0, 1.0
	var keys []key
	dotted := false
	for _, l := range f.Lines {
		for _, points := range append(l.Members, l.Points) {
			for _, p := range points {
				low, high = min(low, p.Millis), max(high, p.Millis)
			}
		}
		if n := len(l.Points); n > 0 {
			most = max(most, l.Points[n-1].Nines)
			dotted = dotted || l.Points[n-1].Nines > l.Carried
		}
		keys = append(keys, key{l.Name, "curve " + series(l.Series), false, l.Series + 1})
	}
	if dotted {
		keys = append(keys, key{name: "too few samples", class: "tail axis"})
	}
	if f.Limit > 0 {
		low, high = min(low, f.Limit), max(high, f.Limit)
	}
	c.legend(keys)

	const left, bottom = 52.0, 24.0
	height := 300.0
	if c.narrow() {
		height = 240
	}
	top, floor := c.top+6, c.top+height
	y := logarithmic(low, high, floor, top, Millis)
	x := nines(most, left, c.width-12)
	c.yAxis(y, left, c.width-12)
	for i, t := range x.ticks {
		at := x.at(t.value)
		c.line(at, top, at, floor, "grid")
		if label := t.label; i == 0 || !c.narrow() || i%2 == 0 || len(x.ticks) < 5 {
			anchor := "middle"
			if at > c.width-30 {
				anchor = "end"
			}
			c.text(min(at, c.width), floor+16, anchor, "quiet", label)
		}
	}
	if f.Limit > 0 {
		c.line(left, y.at(f.Limit), c.width-12, y.at(f.Limit), "limit")
		c.text(left+4, y.at(f.Limit)-4, "start", "limit-text", "objective "+Millis(f.Limit))
	}

	// Nines are the axis's own unit: the scale's transform is not wanted again.
	at := func(p CurvePoint) point {
		return point{x.from + min(p.Nines/x.high, 1)*(x.to-x.from), y.at(p.Millis)}
	}
	path := func(points []CurvePoint, class string) {
		list := make([]point, 0, len(points))
		for _, p := range points {
			list = append(list, at(p))
		}
		c.polyline(list, class)
	}
	for _, l := range f.Lines {
		for _, m := range l.Members {
			path(m, "member "+series(l.Series))
		}
		i := 0
		for i < len(l.Points) && l.Points[i].Nines <= l.Carried+1e-9 {
			i++
		}
		path(l.Points[:i], "curve "+series(l.Series))
		if i < len(l.Points) {
			path(l.Points[max(0, i-1):], "tail "+series(l.Series))
		}
	}
	for _, l := range f.Lines {
		for _, p := range l.Marks {
			c.circle(at(p).x, at(p).y, 3.5, series(l.Series), fmt.Sprintf("%s: p%s is %s", l.Name, percentileNumber(100*(1-math.Pow(10, -p.Nines))), Millis(p.Millis)))
		}
	}
	return floor + bottom
}

// percentileNumber writes a percentile's number.
func percentileNumber(v float64) string {
	text := fmt.Sprintf("%.4f", v)
	for text[len(text)-1] == '0' {
		text = text[:len(text)-1]
	}
	if text[len(text)-1] == '.' {
		text = text[:len(text)-1]
	}
	return text
}

// yAxis draws the lines and labels of an upright axis.
func (c *canvas) yAxis(y *scale, left, right float64) {
	for _, t := range y.ticks {
		at := y.at(t.value)
		if t.label == "" {
			c.line(left, at, right, at, "faint")
			continue
		}
		c.line(left, at, right, at, "grid")
		c.text(left-6, at+4, "end", "quiet", t.label)
	}
}
