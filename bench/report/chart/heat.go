package chart

import (
	"fmt"
	"math"
	"strings"
)

// Heat is a track whose fields are shaded by how many records took so long in that second. The shades are steps of a logarithm: one
// record in a thousand is still seen.
type Heat struct {
	Name   string
	Bounds []float64 // ms, the upper bounds of the fields; one field more than bounds
	Counts [][][]int64
	Lines  []TrackLine
	// Low and High are the axis, ms, so that timelines beside each other have the same; 0: what the counts need.
	Low, High float64
}

// Range is where counts are, ms.
func (h *Heat) Range() (low, high float64) {
	first, last := len(h.Bounds), -1
	for _, run := range h.Counts {
		for _, second := range run {
			for i, n := range second {
				if n > 0 {
					first, last = min(first, i), max(last, i)
				}
			}
		}
	}
	if last < 0 {
		return 0, 0
	}
	low, _ = h.field(first)
	_, high = h.field(last)
	return low, high
}

// field is what the counts of a place are between. The lowest one is drawn as wide as its neighbour, and so is the highest.
func (h *Heat) field(i int) (low, high float64) {
	n := len(h.Bounds)
	ratio := h.Bounds[1] / h.Bounds[0]
	switch {
	case i == 0:
		return h.Bounds[0] / ratio, h.Bounds[0]
	case i >= n:
		return h.Bounds[n-1], h.Bounds[n-1] * ratio
	}
	return h.Bounds[i-1], h.Bounds[i]
}

func (h *Heat) draw(c *canvas, spans []span, left, right float64) {
	c.text(left, c.top+11, "start", "strong", h.Name)
	x := right - 8*11
	if x > left+textWidth(h.Name)+120 {
		c.text(x-42, c.top+11, "end", "quiet", "few")
		for i := range heatLight {
			fmt.Fprintf(c, `<path class="h%d" d="M%s %sh11v10h-11z"/>`, i, px(x-36+float64(i)*11), px(c.top+2))
		}
		c.text(right, c.top+11, "end", "quiet", "many")
	}
	height := 190.0
	top, floor := c.top+20, c.top+20+height
	low, high := h.Low, h.High
	if low == 0 {
		low, high = h.Range()
	}
	y := logarithmic(low, high, floor, top, Millis)
	y.thin(16)
	c.yAxis(y, left, right)
	var shades [8]strings.Builder
	columns, most := h.columns(spans)
	for i, s := range spans {
		for place, n := range columns[i] {
			if n == 0 {
				continue
			}
			from, to := h.field(place)
			bottom, edge := y.at(from), y.at(to)
			fmt.Fprintf(&shades[shade(n, most)], "M%s %sh%sv%sh-%sz", px(s.x), px(edge), px(s.width), px(bottom-edge), px(s.width))
		}
	}
	for i := range shades {
		if shades[i].Len() > 0 {
			fmt.Fprintf(c, `<path class="h%d" d="%s"/>`, i, shades[i].String())
		}
	}
	for i := range h.Lines {
		h.Lines[i].draw(c, spans, y, floor)
	}
	c.top = floor + 12
}

// columns adds up the seconds of each column; a count is by second, so that columns of different width compare.
func (h *Heat) columns(spans []span) (all [][]float64, most float64) {
	for _, s := range spans {
		sums := make([]float64, len(h.Bounds)+1)
		if s.run < len(h.Counts) {
			for _, second := range h.Counts[s.run][min(s.from, len(h.Counts[s.run])):min(s.to, len(h.Counts[s.run]))] {
				for i, n := range second {
					if i < len(sums) {
						sums[i] += float64(n) / float64(s.to-s.from)
						most = max(most, sums[i])
					}
				}
			}
		}
		all = append(all, sums)
	}
	return all, most
}

func shade(n, most float64) int {
	if most <= 1 {
		return 7
	}
	return min(7, max(0, int(8*math.Log1p(n)/math.Log1p(most))))
}
