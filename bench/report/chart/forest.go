package chart

import (
	"fmt"
	"strconv"
)

// Forest is ratios with their intervals on a logarithmic axis; 1, no difference, is marked. An interval that contains 1 says nothing.
type Forest struct {
	Rows        []ForestRow
	Left, Right string // what a ratio below and above 1 means
}

// ForestRow is one comparison.
type ForestRow struct {
	Name             string
	Ratio, Low, High float64
	Kind             string // good, bad, or open: no verdict
	Words            string // the verdict, or why there is none
}

func (f Forest) draw(c *canvas) float64 {
	low, high := 0.8, 1.25
	for _, r := range f.Rows {
		low, high = min(low, max(r.Low, 1e-4)), max(high, min(r.High, 1e4))
	}
	label, told := 190.0, 210.0
	height := 26.0
	if c.width < 620 {
		label, told, height = 0, 0, 44 // names above their intervals
	}
	left, right := label+8, c.width-told-8
	if told == 0 {
		right = c.width - 8
	}
	c.text(left, c.top+11, "start", "quiet", "← "+f.Left)
	if told == 0 {
		c.top += 16
		c.text(right, c.top+11, "end", "quiet", f.Right+" →")
	} else {
		c.text(right, c.top+11, "end", "quiet", f.Right+" →")
	}
	top := c.top + 20
	floor := top + height*float64(len(f.Rows)) + 4
	x := logarithmic(low, high, left, right, axisTimes)
	x.thin(44)
	for _, t := range x.ticks {
		class := "grid"
		if t.label == "" {
			class = "faint"
		}
		c.line(x.at(t.value), top, x.at(t.value), floor, class)
		c.text(x.at(t.value), floor+16, "middle", "quiet", t.label)
	}
	c.line(x.at(1), top-4, x.at(1), floor, "mark")
	for i, r := range f.Rows {
		y := top + height*float64(i)
		words := fmt.Sprintf("%s [%s, %s]", times(r.Ratio), number(r.Low), number(r.High))
		if label > 0 {
			c.text(label-4, y+height/2+4, "end", "", fit(r.Name, label-4))
			c.text(right+14, y+height/2+4, "start", r.Kind, words)
			y += height / 2
		} else {
			c.text(left, y+14, "start", "halo", fit(r.Name, c.width-textWidth(words)-20))
			c.text(c.width-4, y+14, "end", "halo "+r.Kind, words)
			y += 28
		}
		class := "whisker"
		if r.Kind == "open" {
			class = "axis"
		}
		c.line(x.at(r.Low), y, x.at(r.High), y, class)
		c.line(x.at(r.Low), y-4, x.at(r.Low), y+4, class)
		c.line(x.at(r.High), y-4, x.at(r.High), y+4, class)
		c.rect(x.at(r.Ratio)-4, y-4, 8, 8, r.Kind, r.Name+": "+r.Words)
	}
	return floor + 22
}

// times writes a ratio.
func times(v float64) string { return number(v) + "x" }

func number(v float64) string {
	switch {
	case v >= 9.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 0.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// axisTimes writes a ratio as short as it can be.
func axisTimes(v float64) string { return short(v) + "x" }
