package bench

import "time"

// clock counts from one zero, the same for everything of a run: due times in payloads, latencies, the window.
type clock struct{ zero time.Time }

func (c clock) now() time.Duration { return time.Since(c.zero) }

// never is later than every moment of a run.
const never = time.Duration(1<<63 - 1)

// span is what is measured, and what leads to it. All are moments of the run's clock.
type span struct {
	begin time.Duration // the first record is due: the warm-up begins
	from  time.Duration // the window begins
	to    time.Duration // the window ends, and with it the schedule
}

// seconds is how many the window has; the last one may be shorter.
func (s span) seconds() int { return int((s.to - s.from + time.Second - 1) / time.Second) }

// second is the number of the second a moment lies in, from the window's beginning; negative in the warm-up.
func (s span) second(at time.Duration) int {
	switch {
	case at >= s.to:
		return s.seconds() + int((at-s.to)/time.Second)
	case at < s.from:
		return -1 - int((s.from-at-1)/time.Second)
	}
	return int((at - s.from) / time.Second)
}

// end is when a second is over.
func (s span) end(second int) time.Duration {
	if n := second + 1 - s.seconds(); n >= 0 {
		return s.to + time.Duration(n)*time.Second
	}
	return s.from + time.Duration(second+1)*time.Second
}

// measured reports whether what is due at that moment belongs to the window.
func (s span) measured(due time.Duration) bool { return due >= s.from && due < s.to }
