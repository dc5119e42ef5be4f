package host

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// thread is one of a process: where it stood when the window began and where it stands now.
type thread struct {
	name        string
	first, last switches
	seen        bool // on the list that has been read last
}

// switches is a thread at one moment.
type switches struct {
	cpu                    time.Duration
	voluntary, involuntary int64
}

// threads follows those of a process through a window. Ids are used again, so one whose time has gone back is another thread.
//
// A reading of all is milliseconds of work for a process of a hundred threads, on a processor that the broker may be waiting for.
// So within the window only their time is read, and a few at a time.
type threads struct {
	live map[int]*thread
	cpu  map[string]time.Duration // by name, of those that have ended
	sum  switches                 // of those that have ended
	most time.Duration            // of one that has ended

	round []int // those to be read in this round
	next  int
}

// begin forgets all and takes the threads there are as they stand.
func (t *threads) begin(pid int) error {
	*t = threads{live: map[int]*thread{}, cpu: map[string]time.Duration{}}
	err := t.read(pid)
	for _, l := range t.live {
		l.first = l.last
	}
	return err
}

// read looks at each thread once.
func (t *threads) read(pid int) error {
	if err := t.list(pid); err != nil {
		return err
	}
	for _, id := range t.round {
		t.look(pid, id, true)
	}
	t.next = len(t.round)
	return nil
}

// step looks at the time of the next threads, a tenth of them all.
func (t *threads) step(pid int) error {
	if t.next >= len(t.round) {
		if err := t.list(pid); err != nil {
			return err
		}
	}
	for n := len(t.round)/10 + 1; n > 0 && t.next < len(t.round); n-- {
		t.look(pid, t.round[t.next], false)
		t.next++
	}
	return nil
}

// list begins a round. Threads that are not there any more keep what was last seen of them.
func (t *threads) list(pid int) error {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return gone(err)
	}
	t.round, t.next = t.round[:0], 0
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			t.round = append(t.round, id)
			if l := t.live[id]; l != nil {
				l.seen = true
			}
		}
	}
	for id, l := range t.live {
		if !l.seen {
			t.end(id)
		}
		l.seen = false
	}
	return nil
}

// look reads a thread; its name and its switches when it is new or all is asked for.
func (t *threads) look(pid, id int, all bool) {
	task := "task/" + strconv.Itoa(id)
	now, err := threadCPU(pid, task)
	if err != nil {
		return // it has ended just now
	}
	l := t.live[id]
	if l != nil && now < l.last.cpu {
		t.end(id)
		l = nil
	}
	if l == nil {
		l = &thread{}
		t.live[id] = l
		all = true
	}
	l.last.cpu = now
	if !all {
		return
	}
	if status, err := proc(pid, task+"/status"); err == nil {
		voluntary, _ := line(status, "voluntary_ctxt_switches:")
		involuntary, _ := line(status, "nonvoluntary_ctxt_switches:")
		l.name, _ = line(status, "Name:")
		l.last.voluntary, l.last.involuntary = number(voluntary), number(involuntary)
	}
}

func (t *threads) end(id int) {
	l := t.live[id]
	delete(t.live, id)
	t.cpu[group(l.name)] += l.last.cpu - l.first.cpu
	t.sum.voluntary += l.last.voluntary - l.first.voluntary
	t.sum.involuntary += l.last.involuntary - l.first.involuntary
	t.most = max(t.most, l.last.cpu-l.first.cpu)
}

// used sums up the window, by name. What total has more than the threads is that of those that ended between two readings; it is not
// known better than to blur.
func (t *threads) used(total, blur time.Duration) (names map[string]time.Duration, busiest time.Duration, sum switches) {
	for id := range t.live {
		t.end(id)
	}
	names = map[string]time.Duration{}
	for name, d := range t.cpu {
		if d > 0 {
			names[name] = d
			total -= d
		}
	}
	if total > blur+tick {
		names[ended] = total
	}
	return names, t.most, t.sum
}

// threadCPU is in nanoseconds where the kernel keeps schedstat: time on a processor, waiting for one, and how often it got one.
func threadCPU(pid int, task string) (time.Duration, error) {
	if sched, err := proc(pid, task+"/schedstat"); err == nil {
		ns, _, _ := strings.Cut(sched, " ")
		return time.Duration(number(ns)), nil
	}
	text, err := proc(pid, task+"/stat")
	if err != nil {
		return 0, err
	}
	s, err := parseStat(text)
	return s.user + s.system, err
}

// group cuts the numbers off the end of a thread's name, so that those of a pool are one: "kafka-io-7" is "kafka-io". The kernel
// has cut the name to 15 bytes already.
func group(name string) string {
	short := strings.TrimRight(strings.TrimSpace(name), "0123456789-_#:/. ")
	if short == "" {
		return name
	}
	return short
}
