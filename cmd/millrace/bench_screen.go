package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/millrace/millrace/bench"
)

// screen shows a run on stderr: a view that is drawn over itself on a terminal, else a line every five seconds.
type screen struct {
	view     liveView
	out      *os.File
	mode     string // view, plain or off
	coloured bool
	drawn    int           // lines of the view that are on the terminal
	next     time.Duration // when a line is due again
}

const plainEvery = 5 * time.Second

func addLive(c *cobra.Command) *string {
	mode := c.Flags().String("live", "auto", "auto: a view on a terminal, else a line every five seconds; plain: lines; off: a view costs some of the machine that is measured")
	completeFlag(c, "live", oneOf("auto", "plain", "off"))
	return mode
}

func checkLive(c *cobra.Command, mode string) error {
	if mode != "auto" && mode != "plain" && mode != "off" {
		return usage(c, fmt.Errorf("--live %s: want auto, plain or off", mode))
	}
	return nil
}

// newScreen is for one run. open says that it is one at a stated rate.
func newScreen(mode, title string, open bool, out *os.File) *screen {
	if mode == "auto" {
		mode = "plain"
		if _, height := size(out); interactive(out) && height > liveLines {
			mode = "view"
		}
	}
	s := &screen{view: liveView{title: title, open: open, cores: runtime.GOMAXPROCS(0)}, out: out, mode: mode, coloured: colours(out), next: plainEvery}
	if mode == "view" {
		before := atSecondSignal
		atSecondSignal = func() { fmt.Fprint(out, showCursor); before() }
	}
	return s
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	toLineEnd  = "\x1b[K"
	toEnd      = "\x1b[J"
)

// size is that of the terminal, or the usual one where it does not tell.
func size(terminal *os.File) (width, height int) {
	width, height, err := term.GetSize(int(terminal.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// show takes in what a run says of itself once a second.
func (s *screen) show(l bench.Live) {
	s.view.add(l)
	switch s.mode {
	case "view":
		width, _ := size(s.out)
		s.draw(s.view.render(l, min(width, 80)-1, s.coloured)) // a full line would wrap on some terminals
	case "plain":
		if l.Elapsed < s.next {
			return
		}
		s.next = l.Elapsed.Truncate(plainEvery) + plainEvery
		fmt.Fprintln(s.out, s.view.line(l))
	}
}

// draw puts the lines where the last ones were, in one write, so that nothing flickers.
func (s *screen) draw(lines []string) {
	var b strings.Builder
	b.WriteString(hideCursor + s.up())
	for _, line := range lines {
		b.WriteString(line + toLineEnd + "\n")
	}
	b.WriteString(toEnd)
	s.drawn = len(lines)
	_, _ = s.out.WriteString(b.String()) // stderr is all there is to complain to
}

func (s *screen) up() string {
	if s.drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r", s.drawn)
}

// close takes the view away, so that the result stands where it was.
func (s *screen) close() {
	if s.drawn > 0 {
		_, _ = s.out.WriteString(s.up() + toEnd + showCursor)
		s.drawn = 0
	}
}
