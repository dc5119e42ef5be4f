package report

import (
	"bytes"
	"fmt"
	"html"
)

// page collects HTML, and escapes what it is given: arguments stand in text and in quoted attributes only. html/template knows more
// places than these two; it would make the binary 0.26 MB larger, and keep the linker from leaving out methods nobody calls.
type page struct{ bytes.Buffer }

// markup is HTML already.
type markup string

// put writes a format; every argument that is not markup or a number is escaped.
func (p *page) put(format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case markup:
			args[i] = string(a)
		case int, int64, float64:
		default:
			args[i] = html.EscapeString(fmt.Sprint(a))
		}
	}
	fmt.Fprintf(p, format, args...)
}

// grid writes a table in a frame that scrolls sideways where the page is narrow. The first cell of a row is its heading; so many columns
// from the left are words, the others numbers.
func (p *page) grid(caption string, words int, head []string, body [][]any) {
	side := func(column int) markup {
		if column < words {
			return ` class="left"`
		}
		return ""
	}
	p.put(`<div class="scroll" role="region" tabindex="0" aria-label="%s"><table><caption>%s</caption><thead><tr>`, caption, caption)
	for i, h := range head {
		p.put(`<th scope="col"%s>%s</th>`, side(i), h)
	}
	p.put(`</tr></thead><tbody>`)
	for _, cells := range body {
		p.put(`<tr>`)
		for i, c := range cells {
			if i == 0 {
				p.put(`<th scope="row"%s>%s</th>`, side(i), c)
			} else {
				p.put(`<td%s>%s</td>`, side(i), c)
			}
		}
		p.put(`</tr>`)
	}
	p.put(`</tbody></table></div>`)
}
