package trial

import (
	"fmt"
	"strings"
)

// words is the finding as a sentence about b, to be quoted as it stands. Where no difference was shown, there is no verdict, and
// the ratio stands there as B by A.
func (r *Ratio) words(m Metric, b string) string {
	switch {
	case r.N == 0:
		return fmt.Sprintf("%s: no verdict, it was not measured", m.Words)
	case r.Difference == TooFew:
		return fmt.Sprintf("%s: no verdict, too few pairs (%.2fx, n=%d; %d are needed)", m.Words, r.Ratio, r.N, minPairs)
	case r.Difference == None:
		return fmt.Sprintf("%s: no difference the data could show (%.2fx [%.2f, %.2f], n=%d)", m.Words, r.Ratio, r.Interval.Low, r.Interval.High, r.N)
	}
	verb, less, more := b+" has", "lower", "higher"
	if m.Uses {
		verb, less, more = b+" uses", "less", "more"
	}
	ratio, low, high, than := r.Ratio, r.Interval.Low, r.Interval.High, more
	if ratio < 1 {
		ratio, low, high, than = 1/ratio, 1/high, 1/low, less
	}
	if ratio >= 1.5 {
		return fmt.Sprintf("%s %.1fx %s %s [%.1f, %.1f], n=%d", verb, ratio, than, m.Words, low, high, r.N)
	}
	// small ones in per cent: "1.1x more" is read as twice as much by some
	ratio, low, high = 100*(r.Ratio-1), 100*(r.Interval.Low-1), 100*(r.Interval.High-1)
	if ratio < 0 {
		ratio, low, high = -ratio, -high, -low
	}
	return fmt.Sprintf("%s %.1f %% %s %s [%.1f %%, %.1f %%], n=%d", verb, ratio, than, m.Words, low, high, r.N)
}

// notes says what a reader of the figures has to know besides.
func (c *Comparison) notes() {
	var vain, disturbed int
	var why string
	saturated := map[string]bool{}
	for _, s := range c.Segments {
		if s.Used && len(s.Why) > 0 {
			disturbed++
		} else if len(s.Why) > 0 {
			if vain++; vain == 1 {
				why = strings.Join(s.Why, "; ")
			}
		}
		if s.Used && s.Result.Saturated {
			saturated[s.Target] = true
		}
	}
	if vain > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("runs in vain, not used: %d; the first because %s", vain, why))
	}
	if disturbed > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("runs that the machine disturbed and that are used all the same: %d", disturbed))
	}
	for _, t := range []string{c.A, c.B} {
		if saturated[t] {
			c.Notes = append(c.Notes, t+" could not keep the rate: its latencies are the length of its queue and are not compared")
		}
	}
	if n := len(c.Metrics) - 1; n > 1 && c.Sound() {
		c.Notes = append(c.Notes, fmt.Sprintf("%s was named in advance, its interval is one of %.0f %%; the other %d share what is left to chance, theirs are of %.1f %% each",
			c.Metrics[0].Metric, 100*level, n, 100*(1-(1-level)/float64(n))))
	}
}
