package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const largestBurst = 1_000_000

// arrivals says when records are due. It does not change; each producer has a Schedule made from it.
type arrivals struct {
	poisson bool
	burst   int64     // records at a time; 1: evenly
	trace   []float64 // seconds since the start, ascending; the last is also where it begins again
}

// parseArrivals reads constant, poisson, bursty:N, or trace:PATH with the seconds since the start, one record a line.
func parseArrivals(text string) (*arrivals, error) {
	kind, rest, more := strings.Cut(text, ":")
	switch {
	case text == "constant":
		return &arrivals{burst: 1}, nil
	case text == "poisson":
		return &arrivals{poisson: true}, nil
	case kind == "bursty":
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil || n < 1 || n > largestBurst {
			return nil, fmt.Errorf("arrivals %q: a burst has between 1 and %d records; for example bursty:100", text, largestBurst)
		}
		return &arrivals{burst: n}, nil
	case kind == "trace" && more:
		return readTrace(rest)
	}
	return nil, fmt.Errorf("arrivals %q: want constant, poisson, bursty:N or trace:PATH", text)
}

func readTrace(path string) (*arrivals, error) {
	seconds, err := readNumbers("trace", path)
	if err != nil {
		return nil, err
	}
	last := 0.0
	for i, s := range seconds {
		if !(s >= last && s <= 1e6) {
			return nil, fmt.Errorf("trace file %s, number %d: %v is not between the one before, %v, and 1000000 seconds; sort the file, and let it count from its start", path, i+1, s, last)
		}
		last = s
	}
	if last == 0 {
		return nil, fmt.Errorf("trace file %s has no length: its last number is %v and must be above 0, since it begins again there", path, last)
	}
	return &arrivals{trace: seconds}, nil
}

// Rate is the one that a trace has by itself, in records a second, and 0 for everything else. A trace at another rate is stretched.
func (a *arrivals) Rate() float64 {
	if a.trace == nil {
		return 0
	}
	return float64(len(a.trace)) / a.trace[len(a.trace)-1]
}

// schedule is when the batches of one producer are due. It belongs to one goroutine.
type schedule struct {
	arrivals        *arrivals
	every           float64 // seconds from one batch to the next, of all producers together and on average
	first, producer int64   // of the numbers of the batches this producer has, and how many producers there are
	batch           int64
	stretch         float64 // of a trace
	done            int64   // batches of this producer
	clock           float64 // seconds, of the poisson process
	random          *rand.Rand
}

// Schedule makes that of one producer. The rate is of all producers together, in records a second; a batch of several records is
// due as one. Batches are dealt out, so that constant schedules are shifted against each other and a burst is everybody's.
func (a *arrivals) Schedule(rate float64, producer, producers, batch int, r *rand.Rand) *schedule {
	s := &schedule{arrivals: a, every: float64(batch) / rate, first: int64(producer), producer: int64(producers), batch: int64(batch), random: r}
	if a.trace != nil {
		s.stretch = a.Rate() / rate
	}
	return s
}

// Next returns when the next batch is due, since the start. It never goes back.
func (s *schedule) Next() time.Duration {
	number := s.first + s.done*s.producer
	s.done++
	switch a := s.arrivals; {
	case a.poisson: // the sum of independent poisson processes is one
		s.clock += s.random.ExpFloat64() * s.every * float64(s.producer)
		return seconds(s.clock)
	case a.trace != nil:
		record := number * s.batch
		n := int64(len(a.trace))
		return seconds((float64(record/n)*a.trace[n-1] + a.trace[record%n]) * s.stretch)
	default:
		burst := max(1, a.burst/s.batch) // in whole batches
		return seconds(float64(number-number%burst) * s.every)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
