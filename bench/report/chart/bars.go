package chart

import "math"

// Bars compares targets by what they used, each figure on an axis of its own that begins at 0.
type Bars struct{ Figures []BarFigure }

// BarFigure is one figure.
type BarFigure struct {
	Name  string
	Label func(float64) string
	Bars  []Bar
}

// Bar is one target's. What its runs were between is drawn as a whisker.
type Bar struct {
	Name      string
	Series    int
	Value     float64
	Low, High float64 // 0: one run
	Parts     []BarPart
}

// BarPart is a piece of a bar, from its beginning; the rest is the bar's own.
type BarPart struct {
	Name  string
	Value float64
}

func (f Bars) draw(c *canvas) float64 {
	label := 0.0
	for _, g := range f.Figures {
		for _, b := range g.Bars {
			label = max(label, textWidth(b.Name))
		}
	}
	label = min(label+10, c.width/3)
	const room = 76.0 // for the value behind the longest bar
	for _, g := range f.Figures {
		c.text(0, c.top+12, "start", "strong", g.Name)
		c.top += 20
		most := 0.0
		for _, b := range g.Bars {
			most = max(most, b.Value, b.High)
		}
		if most == 0 {
			most = 1
		}
		for _, b := range g.Bars {
			at := func(v float64) float64 { return label + v/most*(c.width-label-room) }
			c.text(label-8, c.top+13, "end", "quiet", fit(b.Name, label-8))
			if len(b.Parts) == 0 {
				c.rect(label, c.top+2, at(b.Value)-label, 14, series(b.Series), b.Name+": "+g.Label(b.Value))
			}
			from := 0.0
			for i, p := range b.Parts {
				c.rect(at(from), c.top+2, at(from+p.Value)-at(from), 14, series(b.Series)+" part"+string(rune('0'+min(i, 4))), b.Name+", "+p.Name+": "+g.Label(p.Value))
				from += p.Value
			}
			end := at(b.Value)
			if b.High > b.Low {
				c.line(at(b.Low), c.top+9, at(b.High), c.top+9, "whisker")
				c.line(at(b.Low), c.top+5, at(b.Low), c.top+13, "whisker")
				c.line(at(b.High), c.top+5, at(b.High), c.top+13, "whisker")
				end = math.Max(end, at(b.High))
			}
			c.text(end+6, c.top+13, "start", "", g.Label(b.Value))
			c.top += 22
		}
		c.top += 10
	}
	return c.top
}

// fit cuts a text to a width.
func fit(text string, width float64) string {
	runes := []rune(text)
	for n := len(runes); n > 1 && textWidth(string(runes)) > width; n-- {
		runes = append(runes[:n-2:n-2], '…')
	}
	return string(runes)
}
