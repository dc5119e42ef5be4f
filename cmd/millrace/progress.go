package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/millrace/millrace/bench"
)

// progress shows how far a phase is: a bar on a terminal, else a line every five seconds.
type progress struct {
	mode string // bar, plain or off
	out  *os.File
}

func newProgress(mode string, out *os.File) *progress {
	if mode == "auto" {
		mode = "plain"
		if interactive(out) {
			mode = "bar"
		}
	}
	return &progress{mode, out}
}

// done is the part of a phase that is done.
func done(b bench.Progress) float64 {
	if b.Total == 0 {
		return 0
	}
	return min(1, float64(b.Done)/float64(b.Total))
}

func (p *progress) phase(name string) func(bench.Progress) {
	switch p.mode {
	case "bar":
		const steps = 1000
		bar := progressbar.NewOptions(steps,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetWidth(30),
			progressbar.OptionSetPredictTime(false),
			progressbar.OptionSetElapsedTime(false),
			progressbar.OptionEnableColorCodes(colours(p.out)),
			progressbar.OptionClearOnFinish(),
		)
		return func(b bench.Progress) {
			bar.Describe(fmt.Sprintf("%-24s %s records, %.0f MB/s", name, thousands(b.Records), megabytesPerSecond(b)))
			if b.Last {
				_ = bar.Finish()
				return
			}
			_ = bar.Set(int(done(b) * (steps - 1))) // only Last finishes it
		}
	case "plain":
		var next time.Duration
		return func(b bench.Progress) {
			if b.Elapsed < next && !b.Last {
				return
			}
			next = b.Elapsed.Truncate(5*time.Second) + 5*time.Second
			share := done(b)
			if b.Last {
				share = 1
			}
			fmt.Fprintf(p.out, "%s: %.0f%%, %s records, %.0f MB/s\n", name, share*100, thousands(b.Records), megabytesPerSecond(b))
		}
	}
	return nil
}

func megabytesPerSecond(b bench.Progress) float64 {
	if b.Elapsed == 0 {
		return 0
	}
	return float64(b.Bytes) / 1e6 / b.Elapsed.Seconds()
}
