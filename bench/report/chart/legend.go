package chart

import "fmt"

// key is an entry of a legend.
type key struct {
	name, class string
	swatch      bool // a filled square; else a piece of line
	hides       int  // 1 + the series that a script may hide; 0: none
}

// legend writes keys in rows and moves c.top below them.
func (c *canvas) legend(keys []key) {
	x := 0.0
	for _, k := range keys {
		width := 26 + textWidth(k.name) + 16
		if x > 0 && x+width > c.width+16 {
			x, c.top = 0, c.top+18
		}
		c.WriteString(`<g class="key`)
		if k.hides > 0 {
			fmt.Fprintf(c, ` toggle" data-series="%d`, (k.hides-1)%Series)
		}
		c.WriteString(`">`)
		if k.swatch {
			c.rect(x+4, c.top+2, 12, 10, k.class, "")
		} else {
			c.line(x, c.top+7, x+20, c.top+7, k.class)
		}
		c.text(x+26, c.top+11, "start", "", k.name)
		c.WriteString("</g>")
		x += width
	}
	c.top += 24
}
