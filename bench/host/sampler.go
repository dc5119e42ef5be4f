package host

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// sample is a process at one moment.
type sample struct {
	at    time.Time
	pid   int
	took  time.Duration // since the sample before
	cores float64       // busy in that time
	anon  int64
}

// maxSamples are kept, the newest: three hours of one process ten times a second.
const maxSamples = 1 << 17

// Sampler watches processes. The generator watches itself with one of its own, of os.Getpid().
type Sampler struct {
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	watched []*watched
	samples []sample
	begun   time.Time             // of the window
	kernel  map[int]time.Duration // threads of the kernel, and their CPU when the window began
	machine Machine               // when it began: totals since the machine was started
	window  Machine               // once it has ended
}

// watched is a process that is being sampled.
type watched struct {
	pid     int
	first   counters // when the window began
	last    counters
	lastAt  time.Time
	peak    int64
	threads threads
	begun   bool          // the window has begun
	blur    time.Duration // CPU that the process used while its threads were read at both ends of the window
	ended   bool
	missing []string
}

// StartSampler looks at the processes at once and then every so often, 100 ms if that is 0. The window begins now, and anew with
// every Mark.
func StartSampler(pids []int, every time.Duration) *Sampler {
	if every <= 0 {
		every = 100 * time.Millisecond
	}
	s := &Sampler{stop: make(chan struct{}), kernel: kernelThreads()}
	for _, pid := range pids {
		s.watched = append(s.watched, &watched{pid: pid})
	}
	s.Mark()
	s.done.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.mu.Lock()
				s.look()
				s.mu.Unlock()
			case <-s.stop:
				return
			}
		}
	})
	return s
}

// Mark begins the window.
func (s *Sampler) Mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	s.begun = time.Now()
	s.machine = readMachine()
	for pid := range s.kernel {
		s.kernel[pid], _ = cpu(pid)
	}
	for _, w := range s.watched {
		w.begin()
	}
}

// Stop ends the window and the sampling, and says what each process used, in the order in which they were named. It is called once.
func (s *Sampler) Stop() []Usage {
	close(s.stop)
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look()
	elapsed := time.Since(s.begun)
	s.window = readMachine().since(s.machine, elapsed)
	for pid, now := range kernelThreads() { // those that began meanwhile with all they have
		s.window.Kernel += max(0, now-s.kernel[pid])
	}
	var all []Usage
	for _, w := range s.watched {
		all = append(all, w.usage(elapsed))
	}
	return all
}

// Machine is what the whole machine did in the window that Stop has ended.
func (s *Sampler) Machine() Machine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window
}

// Between is how many cores all processes together kept busy between two moments, and the most memory of their own that they had.
func (s *Sampler) Between(from, to time.Time) (cores float64, anon int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watched {
		var busy, length float64 // samples are not equally long: one may follow another at once, when the window begins
		most := int64(0)
		for i := len(s.samples) - 1; i >= 0 && s.samples[i].at.After(from); i-- {
			if at := &s.samples[i]; at.pid == w.pid && !at.at.After(to) {
				busy, length, most = busy+at.cores*float64(at.took), length+float64(at.took), max(most, at.anon)
			}
		}
		if length > 0 {
			cores += busy / length
			anon += most
		}
	}
	return cores, anon
}

// look samples each process once.
func (s *Sampler) look() {
	for _, w := range s.watched {
		before, at := w.last, w.lastAt
		if !w.read() || at.IsZero() {
			continue
		}
		if len(s.samples) >= maxSamples {
			s.samples = append(s.samples[:0], s.samples[maxSamples/4:]...)
		}
		took := max(w.lastAt.Sub(at), 1)
		cores := float64(w.last.cpu-before.cpu) / float64(took)
		s.samples = append(s.samples, sample{w.lastAt, w.pid, took, cores, w.last.anon})
	}
}

// read brings last up to date, and a tenth of the threads.
func (w *watched) read() bool {
	if w.ended {
		return false
	}
	now, err := readCounters(w.pid)
	if err == nil && w.last.started != "" && now.started != w.last.started {
		err = errEnded // and its number went to another
	}
	if err != nil {
		w.miss(err)
		return false
	}
	if err := now.readDisk(w.pid); err != nil {
		w.miss(fmt.Errorf("its bytes on the disk: %w (only its own user and root may read them)", err))
	}
	w.last, w.lastAt = now, now.at
	w.peak = max(w.peak, now.anon)
	if w.begun {
		if err := w.threads.step(w.pid); err != nil {
			w.miss(err)
		}
	}
	return true
}

// miss notes once what cannot be measured.
func (w *watched) miss(err error) {
	if errors.Is(err, errEnded) {
		w.ended = true
	}
	text := fmt.Sprintf("process %d: %v", w.pid, err)
	for _, m := range w.missing {
		if m == text {
			return
		}
	}
	w.missing = append(w.missing, text)
}

func (w *watched) begin() {
	w.first, w.peak = w.last, w.last.anon
	if w.ended {
		return
	}
	if err := w.threads.begin(w.pid); err != nil {
		w.miss(err)
	}
	w.begun, w.blur = true, w.since(&w.first)
}

// since is what the process has used since it was looked at.
func (w *watched) since(c *counters) time.Duration {
	now, err := cpu(w.pid)
	if err != nil {
		return 0
	}
	return now - c.cpu
}

func (w *watched) usage(elapsed time.Duration) Usage {
	if !w.ended {
		if err := w.threads.read(w.pid); err != nil {
			w.miss(err)
		}
		w.blur += w.since(&w.last)
	}
	a, b := &w.first, &w.last
	u := Usage{
		Pid: w.pid, Name: strings.TrimSpace(b.name), Elapsed: elapsed,
		Anon: b.anon, File: b.file, PeakAnon: w.peak,
		ReadBytes: b.read - a.read, WrittenBytes: b.written - a.written,
		MinorFaults: b.minor - a.minor, MajorFaults: b.major - a.major,
		Ended: w.ended, Missing: w.missing,
	}
	total := b.cpu - a.cpu
	user, system := b.user-a.user, b.system-a.system
	if user+system > 0 {
		u.User = time.Duration(float64(total) * (float64(user) / float64(user+system)))
	}
	u.System = total - u.User
	var sum switches
	u.Threads, u.Busiest, sum = w.threads.used(total, w.blur)
	u.Voluntary, u.Involuntary = sum.voluntary, sum.involuntary
	return u
}
