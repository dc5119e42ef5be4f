package chart

import (
	"fmt"
	"math"
)

// Knee is latency by rate: flat while a target keeps up, steep where it no longer does.
type Knee struct {
	Lines []KneeLine
	Limit float64 // ms, the objective; 0: none
	What  string  // the percentile, for the axis
}

// KneeLine is one target.
type KneeLine struct {
	Name    string
	Series  int
	Points  []KneePoint // by rate, ascending
	Highest float64     // rate that held; 0: none
}

// KneePoint is one rate that was tried.
type KneePoint struct {
	Rate, Millis float64
	Held         bool
	Told         string
}

func (f Knee) draw(c *canvas) float64 {
	low, high, most := math.Inf(1), f.Limit, 0.0
	if f.Limit > 0 {
		low = f.Limit
	}
	var keys []key
	for _, l := range f.Lines {
		for _, p := range l.Points {
			most = max(most, p.Rate)
			if !math.IsNaN(p.Millis) {
				low, high = min(low, p.Millis), max(high, p.Millis)
			}
		}
		keys = append(keys, key{l.Name, "curve " + series(l.Series), false, l.Series + 1})
	}
	c.legend(keys)
	const left = 52.0
	height := 280.0
	if c.narrow() {
		height = 230
	}
	top, floor, right := c.top+18, c.top+height, c.width-14
	y := logarithmic(low, high, floor, top, Millis)
	ticks := 8
	if c.narrow() {
		ticks = 4
	}
	x := linear(most, left, right, ticks, Count)
	c.text(left, top-6, "start", "quiet", f.What)
	c.yAxis(y, left, right)
	for _, t := range x.ticks {
		c.line(x.at(t.value), top, x.at(t.value), floor, "grid")
		c.text(x.at(t.value), floor+16, "middle", "quiet", t.label)
	}
	c.text(right, floor+32, "end", "quiet", "records/s asked; hollow: not held")
	if f.Limit > 0 {
		c.line(left, y.at(f.Limit), right, y.at(f.Limit), "limit")
		c.text(left+4, y.at(f.Limit)-4, "start", "limit-text", "objective "+Millis(f.Limit))
	}
	for i, l := range f.Lines {
		var points []point
		for _, p := range l.Points {
			points = append(points, point{x.at(p.Rate), y.at(p.Millis)})
		}
		c.polyline(points, "curve "+series(l.Series))
		for k, p := range l.Points {
			class := series(l.Series)
			if !p.Held {
				class = "hollow " + class
			}
			if !math.IsNaN(p.Millis) {
				c.circle(points[k].x, points[k].y, 4.5, class, fmt.Sprintf("%s, %s records/s: %s", l.Name, Count(p.Rate), p.Told))
			}
		}
		if l.Highest > 0 {
			at := x.at(l.Highest)
			c.line(at, top, at, floor, "member "+series(l.Series))
			anchor := "start"
			if at > (left+right)/2 {
				anchor = "end"
				at -= 8
			}
			c.text(at+4, floor-8-float64(i)*16, anchor, "halo", l.Name+" held "+Count(l.Highest)+"/s")
		}
	}
	return floor + 38
}
