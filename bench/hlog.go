package bench

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// interval is what an interval log says of a second: produce and end to end, empty where nothing was measured.
type interval [2]struct {
	coded   string
	longest float64 // ms
}

func (t *tally) interval() (i interval) {
	for k, l := range t.latency {
		if l.histogram.TotalCount() > 0 {
			d := NewDistribution(l)
			i[k].coded, i[k].longest = d.Histogram, d.Max
		}
	}
	return i
}

// hlogTags name what an interval log holds.
var hlogTags = [2]string{LatencyProduce, LatencyEndToEnd}

// WriteHlog writes the latencies of a run as an HdrHistogram interval log: a tagged histogram of microseconds for every second of
// warm-up and window; or, of a result that was read from a file, one for the window. Times are seconds since the start, maxima are
// in milliseconds.
func WriteHlog(w io.Writer, r *Result) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#[Histogram log format version 1.3]\n#[StartTime: %.3f (seconds since epoch), %s]\n", float64(r.Started.UnixMilli())/1000, r.Started.UTC().Format(time.RFC3339))
	b.WriteString("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n")
	line := func(k int, from, length time.Duration, longest float64, coded string) {
		if coded != "" {
			fmt.Fprintf(&b, "Tag=%s,%.3f,%.3f,%.3f,%s\n", hlogTags[k], from.Seconds(), length.Seconds(), longest, coded)
		}
	}
	for n, i := range r.intervals {
		for k, of := range i {
			line(k, time.Duration(n)*time.Second, time.Second, of.longest, of.coded)
		}
	}
	if len(r.intervals) == 0 {
		for k, tag := range hlogTags {
			if d := r.Latency[tag]; d != nil {
				line(k, r.Spec.Warmup, r.Load.Elapsed, d.Max, d.Histogram)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
