package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// canvas collects the elements of a drawing. Coordinates are pixels, with one decimal in the text.
type canvas struct {
	strings.Builder
	width, top float64
}

// narrow is a telephone's width.
func (c *canvas) narrow() bool { return c.width < 480 }

// px writes a coordinate.
func px(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func (c *canvas) text(x, y float64, anchor, class, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(c, `<text x="%s" y="%s" text-anchor="%s"`, px(x), px(y), anchor)
	if class != "" {
		fmt.Fprintf(c, ` class="%s"`, class)
	}
	fmt.Fprintf(c, `>%s</text>`, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(c, `<path class="%s" d="M%s %sL%s %s"/>`, class, px(x1), px(y1), px(x2), px(y2))
}

// rect draws a rectangle; what a pointer is told over it may be empty.
func (c *canvas) rect(x, y, width, height float64, class, told string) {
	fmt.Fprintf(c, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, class, px(x), px(y), px(max(0, width)), px(max(0, height)))
	c.told(told, "rect")
}

func (c *canvas) circle(x, y, r float64, class, told string) {
	fmt.Fprintf(c, `<circle class="%s" cx="%s" cy="%s" r="%s"`, class, px(x), px(y), px(r))
	c.told(told, "circle")
}

func (c *canvas) told(text, element string) {
	if text == "" {
		c.WriteString("/>")
		return
	}
	fmt.Fprintf(c, "><title>%s</title></%s>", html.EscapeString(text), element)
}

// point is a place on the canvas.
type point struct{ x, y float64 }

// polyline joins points; one that is not a number leaves a gap, and one without neighbours is a dot.
func (c *canvas) polyline(points []point, class string) {
	var d strings.Builder
	drawn := false // the pen is down
	for i, p := range points {
		if math.IsNaN(p.y) {
			drawn = false
			continue
		}
		letter := "L"
		if !drawn {
			letter = "M"
			if i+1 == len(points) || math.IsNaN(points[i+1].y) {
				fmt.Fprintf(&d, "M%s %sh0.1", px(p.x), px(p.y))
				continue
			}
		}
		fmt.Fprintf(&d, "%s%s %s", letter, px(p.x), px(p.y))
		drawn = true
	}
	if d.Len() > 0 {
		fmt.Fprintf(c, `<path class="%s" d="%s"/>`, class, d.String())
	}
}

// textWidth is about how wide a text of the usual size is: no font is at hand, and every reader's is another.
func textWidth(text string) float64 { return 6.7 * float64(utf8.RuneCountInString(text)) }
