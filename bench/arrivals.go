package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const largestBurst = 1_000_000

// arrivals is one producer's schedule, without end: the due times of what it sends, since the schedule began; none is before the
// one before it. raw: of whole batches, whose records are due together; kgo: of single records. The same spec and producer give
// the same times.
type arrivals func() time.Duration

// newArrivals returns the schedule of a producer that sends events a second. per is the number of records of an event. Events are
// dealt out to the producers one by one, so constant schedules are shifted against each other, a burst is everybody's, and a
// trace keeps its shape.
func newArrivals(s Spec, producer int, perSecond float64, per int) (arrivals, error) {
	kind, rest, more := strings.Cut(s.Arrivals, ":")
	every := 1 / (perSecond * float64(s.Producers)) // seconds from one event of anybody's to the next, on average
	number := counter(producer, s.Producers)
	switch {
	case s.Arrivals == "constant":
		return func() time.Duration { return seconds(float64(number()) * every) }, nil
	case s.Arrivals == "poisson":
		return poisson(perSecond, rand.New(rand.NewPCG(s.Seed, ^uint64(producer)))), nil
	case kind == "bursty":
		n, err := strconv.ParseInt(rest, 10, 64)
		if err != nil || n < 1 || n > largestBurst {
			return nil, fmt.Errorf("arrivals %q: a burst has between 1 and %d records; for example bursty:100", s.Arrivals, largestBurst)
		}
		burst := max(1, n/int64(per)) // in whole events
		return func() time.Duration {
			i := number()
			return seconds(float64(i-i%burst) * every)
		}, nil
	case kind == "trace" && more:
		trace, err := readTrace(rest)
		if err != nil {
			return nil, err
		}
		n, end := int64(len(trace)), trace[len(trace)-1]
		stretch := float64(n) / end * every / float64(per) // the trace's own rate by the one asked for
		return func() time.Duration {
			record := number() * int64(per)
			return seconds((float64(record/n)*end + trace[record%n]) * stretch)
		}, nil
	}
	return nil, fmt.Errorf("arrivals %q: want constant, poisson, bursty:N or trace:PATH", s.Arrivals)
}

// counter counts from a number, in steps.
func counter(from, step int) func() int64 {
	next := int64(from)
	return func() int64 {
		n := next
		next += int64(step)
		return n
	}
}

// poisson has gaps as of events that know nothing of each other. The schedules of many producers together are one of their sum.
func poisson(perSecond float64, random *rand.Rand) arrivals {
	clock := 0.0
	return func() time.Duration {
		clock += random.ExpFloat64() / perSecond
		return seconds(clock)
	}
}

// seconds loses no more than a nanosecond in three months.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// readTrace reads when records came, in seconds since the start of the trace. The last one is also where it begins again.
func readTrace(path string) ([]float64, error) {
	trace, err := readNumbers("trace", path)
	if err != nil {
		return nil, err
	}
	last := 0.0
	for i, s := range trace {
		if !(s >= last && s <= 1e6) {
			return nil, fmt.Errorf("trace file %s, number %d: %v is not between the one before, %v, and 1000000 seconds; sort the file, and let it count from its start", path, i+1, s, last)
		}
		last = s
	}
	if last == 0 {
		return nil, fmt.Errorf("trace file %s has no length: its last number is %v and must be above 0, since it begins again there", path, last)
	}
	return trace, nil
}
