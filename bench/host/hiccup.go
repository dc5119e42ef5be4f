package host

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

const (
	// nap is how long the meter sleeps. A wake-up costs 20 us, half of it Go's, where timers trap into a hypervisor: at 1 ms the meter
	// would take 5 % of a core from what it watches, at 5 ms it takes 1 %. A hiccup as long as a nap is always seen.
	nap = 5 * time.Millisecond

	slot   = 100 * time.Millisecond
	noSlot = 1 << 16 // slots kept: an hour and three quarters
)

// Hiccups is a thread that does nothing but sleep, and notes by how much too late it woke up. What it sees, every other thread of
// the machine has suffered as well, the broker's and the generator's: it is the part of a tail that is nobody's.
//
// It sleeps in a read of a timer that rings every nap, and the kernel answers how often it has rung when the thread runs again.
// So the time that Go needs to continue the goroutine, long when the generator is busy, is told from the machine's to a nap.
type Hiccups struct {
	quit atomic.Bool
	done sync.WaitGroup

	mu    sync.Mutex
	start time.Time // of the first slot
	slots []time.Duration
	begun time.Time // of the window
	found Lateness
}

// Lateness is what a Hiccups has seen in its window.
type Lateness struct {
	Histogram *hdrhistogram.Histogram // microseconds; a hiccup counts for each nap it has swallowed, as a record due meanwhile would have seen it
	Longest   time.Duration
	Elapsed   time.Duration
	Lost      time.Duration // sum of hiccups as long as Hiccup
	LostLong  time.Duration // sum of hiccups as long as LongHiccup
}

func newLateness() Lateness {
	return Lateness{Histogram: hdrhistogram.New(1, time.Minute.Microseconds(), 3)}
}

// StartHiccups begins to sleep. The window begins now, and anew with every Mark.
func StartHiccups() *Hiccups {
	now := time.Now()
	h := &Hiccups{start: now, begun: now, found: newLateness()}
	h.done.Go(h.run)
	return h
}

// Mark begins the window.
func (h *Hiccups) Mark() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun, h.found = time.Now(), newLateness()
}

// Stop ends the window. It is called once.
func (h *Hiccups) Stop() Lateness {
	h.quit.Store(true)
	h.done.Wait()
	h.found.Elapsed = time.Since(h.begun)
	return h.found
}

// Worst is the longest hiccup between two moments, to a tenth of a second; those before the window are known too.
func (h *Hiccups) Worst(from, to time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	var worst time.Duration
	for i := max(0, int(from.Sub(h.start)/slot)); i < len(h.slots) && h.start.Add(time.Duration(i)*slot).Before(to); i++ {
		worst = max(worst, h.slots[i])
	}
	return worst
}

func (h *Hiccups) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return // nothing is counted, which Disturbed says
	}
	defer unix.Close(timer)
	due := monotonic() + nap // of the next ring
	rings := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(due)), Interval: unix.NsecToTimespec(int64(nap))}
	if unix.TimerfdSettime(timer, unix.TFD_TIMER_ABSTIME, &rings, nil) != nil {
		return
	}
	for buf := make([]byte, 8); !h.quit.Load(); {
		n, err := unix.Read(timer, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 8 {
			return
		}
		rung := time.Duration(binary.NativeEndian.Uint64(buf)) * nap
		h.note(time.Now(), min(monotonic()-due, rung)) // a next ring that the kernel had not seen yet: what is more is Go's own
		due += rung
	}
}

func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // there always is one
	return time.Duration(now.Nano())
}

func (h *Hiccups) note(at time.Time, late time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	us := min(max(late.Microseconds(), 1), time.Minute.Microseconds())
	_ = h.found.Histogram.RecordCorrectedValue(us, nap.Microseconds()) // within its bounds
	h.found.Longest = max(h.found.Longest, late)
	if late >= Hiccup {
		h.found.Lost += late
	}
	if late >= LongHiccup {
		h.found.LostLong += late
	}
	i := int(at.Sub(h.start) / slot)
	for len(h.slots) <= i && len(h.slots) < noSlot {
		h.slots = append(h.slots, 0)
	}
	if i < len(h.slots) {
		h.slots[i] = max(h.slots[i], late)
	}
}
