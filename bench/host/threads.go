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
	seen        bool // in the reading that goes on
}

// switches is a thread at one moment.
type switches struct {
	cpu                    time.Duration
	voluntary, involuntary int64
}

// threads follows those of a process through a window. Ids are used again, so one whose time has gone back is another thread.
type threads struct {
	live map[int]*thread
	cpu  map[string]time.Duration // by name, of those that have ended
	sum  switches                 // of those that have ended
	most time.Duration            // of one that has ended
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

// read looks at each thread once; those that are not there any more keep what was last seen of them.
func (t *threads) read(pid int) error {
	entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return gone(err)
	}
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		now, name, err := readThread(pid, e.Name())
		if err != nil {
			continue // it has ended just now
		}
		l := t.live[id]
		if l != nil && now.cpu < l.last.cpu {
			t.end(id)
			l = nil
		}
		if l == nil {
			l = &thread{}
			t.live[id] = l
		}
		l.name, l.last, l.seen = name, now, true
	}
	for id, l := range t.live {
		if !l.seen {
			t.end(id)
		}
		l.seen = false
	}
	return nil
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

func readThread(pid int, id string) (now switches, name string, err error) {
	status, err := proc(pid, "task/"+id+"/status")
	if err != nil {
		return now, "", err
	}
	name, _ = line(status, "Name:")
	voluntary, _ := line(status, "voluntary_ctxt_switches:")
	involuntary, _ := line(status, "nonvoluntary_ctxt_switches:")
	now.voluntary, now.involuntary = number(voluntary), number(involuntary)
	if sched, err := proc(pid, "task/"+id+"/schedstat"); err == nil { // nanoseconds on a processor, waiting for one, times it got one
		ns, _, _ := strings.Cut(sched, " ")
		now.cpu = time.Duration(number(ns))
		return now, name, nil
	}
	text, err := proc(pid, "task/"+id+"/stat") // a kernel that keeps no schedstat
	if err != nil {
		return now, "", err
	}
	s, err := parseStat(text)
	now.cpu = s.user + s.system
	return now, name, err
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
