package host

import (
	"fmt"
	"time"
)

// Limits beyond which a run is disturbed. They are about what is nobody's fault: what the broker and the generator do to each other
// on a machine that they share is the workload, and is never held against them. Pressure stall figures are therefore in the
// result and not judged: two busy processes on two cores wait for each other all the time.
const (
	// MaxSteal is the share of the processors' time that the hypervisor may have given to others. At 1 % of two cores, 200 ms of ten
	// seconds are gone, several times what p99.9 is made of.
	MaxSteal = 0.01

	// MaxOthers is the share that other processes may have used: a twentieth moves no mean by more than a twentieth, which is what paired
	// blocks resolve.
	MaxOthers = 0.05

	// Hiccup is how late a sleeper must wake to have been held up by more than the scheduler's turns among a few threads (3 ms each on
	// two cores); LongHiccup, while broker and generator have the machine full, and many threads of theirs wait for their turns.
	Hiccup     = 10 * time.Millisecond
	LongHiccup = 100 * time.Millisecond

	// MaxLost is the share of the window that such hiccups may last in all: more, and p99.9 shows them and not the broker.
	MaxLost = 0.002

	// Full is the share of the processors' time above which broker and generator have the machine full.
	Full = 0.75
)

// Disturbed says in words what the machine did in the window beyond the limits; nothing, and the run stands. known are the brokers
// and the generator.
func Disturbed(m Machine, known []Usage, l Lateness) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	capacity := float64(m.Capacity())
	if capacity <= 0 {
		return []string{"the machine was not measured: /proc/stat gave nothing"}
	}
	if share := float64(m.Steal) / capacity; share > MaxSteal {
		say("the hypervisor took %.1f %% of the processors' time (limit %g %%)", 100*share, 100*MaxSteal)
	}
	var ours time.Duration
	for i := range known {
		ours += known[i].CPU()
	}
	// Interrupts are not counted, nor the kernel's own threads: most of both is done for the broker and the generator.
	if share := float64(m.User+m.System-m.Kernel-ours) / capacity; share > MaxOthers {
		say("other processes used %.1f %% of the processors' time (limit %g %%)", 100*share, 100*MaxOthers)
	}
	lost, length := l.Lost, Hiccup
	if float64(ours+m.Interrupt) > Full*capacity {
		lost, length = l.LostLong, LongHiccup
	}
	switch {
	case l.Histogram == nil || l.Histogram.TotalCount() == 0:
		say("hiccups were not measured: no timer")
	case float64(lost) > MaxLost*float64(l.Elapsed):
		say("a thread that only sleeps was held up for %v in all, by %v at most (limit %v in %v, counting from %v)",
			lost.Round(time.Millisecond), l.Longest.Round(time.Millisecond), time.Duration(MaxLost*float64(l.Elapsed)).Round(time.Millisecond), l.Elapsed.Round(time.Second), length)
	}
	return found
}
