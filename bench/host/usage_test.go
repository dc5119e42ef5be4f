package host

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// burn keeps its thread busy for so much processor time.
func burn(t *testing.T, d time.Duration) {
	var from, now unix.Timespec
	for {
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
			t.Error(err)
			return
		}
		if from.Nano() == 0 {
			from = now
		}
		if now.Nano()-from.Nano() > int64(d) {
			return
		}
	}
}

// own runs f on a thread that ends with it: not the first one, which a process keeps.
func own(f func()) {
	runtime.LockOSThread() // and never unlocked
	if unix.Gettid() == os.Getpid() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			own(f)
		}()
		<-done
		return
	}
	f()
}

// rename gives the thread that calls it a name.
func rename(t *testing.T, name string) {
	if err := os.WriteFile("/proc/thread-self/comm", []byte(name), 0); err != nil {
		t.Error(err)
	}
}

func TestUsageByThreads(t *testing.T) {
	const work = 60 * time.Millisecond
	page := make(chan []byte)
	done := make(chan struct{})
	busy := func(name string) chan struct{} {
		leave := make(chan struct{})
		go own(func() {
			rename(t, name)
			burn(t, work)
			done <- struct{}{}
			<-leave
		})
		return leave
	}
	s := StartSampler([]int{os.Getpid()}, 10*time.Millisecond)
	before := busy("before-1")
	<-done
	s.Mark()
	stay := []chan struct{}{busy("worker-1"), busy("worker-22")}
	<-done
	<-done
	go func() { page <- bytes.Repeat([]byte{1}, 8<<20) }()
	kept := <-page
	used := s.Stop()
	close(before)
	for _, leave := range stay {
		close(leave)
	}
	if len(used) != 1 {
		t.Fatalf("%d processes, want 1", len(used))
	}
	u := used[0]
	if got := u.Threads["worker"]; got < 2*work || got > u.CPU() {
		t.Errorf("the workers used %v of %v, want at least %v", got, u.CPU(), 2*work)
	}
	if got := u.Threads["before"]; got > work/2 {
		t.Errorf("%v of before the window are in it", got)
	}
	if u.Busiest < work || u.Busiest > u.Threads["worker"] {
		t.Errorf("the busiest thread used %v, want between %v and %v", u.Busiest, work, u.Threads["worker"])
	}
	var sum time.Duration
	for _, d := range u.Threads {
		sum += d
	}
	if d := u.CPU() - sum; d < -2*tick || d > 2*tick {
		t.Errorf("the threads add up to %v, the process used %v", sum, u.CPU())
	}
	if u.Anon < int64(len(kept)) || u.PeakAnon < u.Anon || u.MinorFaults == 0 || u.Voluntary+u.Involuntary == 0 {
		t.Errorf("memory, faults or switches are missing: %+v", u)
	}
	if u.Ended || u.Missing != nil {
		t.Errorf("something is missing of my own process: %v", u.Missing)
	}
	runtime.KeepAlive(kept)

	m := s.Machine()
	if m.Cores != runtime.NumCPU() || m.User+m.System+m.Idle+m.Steal+m.Interrupt > m.Capacity()+m.Capacity()/2+time.Second {
		t.Errorf("the machine: %+v", m)
	}
	if len(s.samples) == 0 {
		t.Error("no samples")
	}
}

func TestThreadsThatEndKeepTheirTime(t *testing.T) {
	const work = 50 * time.Millisecond
	s := StartSampler([]int{os.Getpid()}, time.Hour) // between Mark and Stop nobody looks
	gone := make(chan int)
	go own(func() {
		rename(t, "short-lived")
		burn(t, work)
		gone <- unix.Gettid()
	})
	tid := <-gone
	for unix.Tgkill(os.Getpid(), tid, 0) == nil {
		runtime.Gosched()
	}
	u := s.Stop()[0]
	if u.CPU() < work || u.Threads[ended] < work-tick {
		t.Errorf("the process used %v, threads that ended %v: want %v of both", u.CPU(), u.Threads[ended], work)
	}
}

// Within the window a tenth of the threads is looked at with each sample, so that after ten all have been seen.
func TestThreadsAreSeenBeforeTheyEnd(t *testing.T) {
	const work = 50 * time.Millisecond
	named, begin, burnt, leave, tid := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{}), 0
	go own(func() {
		rename(t, "short-lived")
		tid = unix.Gettid()
		named <- struct{}{}
		<-begin
		burn(t, work)
		burnt <- struct{}{}
		<-leave
	})
	<-named
	s := StartSampler([]int{os.Getpid()}, time.Hour)
	close(begin)
	<-burnt
	for range 12 {
		s.mu.Lock()
		s.look()
		s.mu.Unlock()
	}
	close(leave)
	for unix.Tgkill(os.Getpid(), tid, 0) == nil {
		runtime.Gosched()
	}
	if u := s.Stop()[0]; u.Threads["short-lived"] < work || u.Busiest < work {
		t.Errorf("%v, the busiest %v; want %v of the thread that was seen", u.Threads, u.Busiest, work)
	}
}

func TestDataDir(t *testing.T) {
	dir := t.TempDir()
	if got := DataDir([]int{os.Getpid()}); got == dir {
		t.Errorf("nothing is open in %s yet", got)
	}
	f, err := os.Create(filepath.Join(dir, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := DataDir([]int{1 << 30, os.Getpid()}); got != dir {
		t.Errorf("%q, want %q", got, dir)
	}
}

func TestProcessThatEnds(t *testing.T) {
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	s := StartSampler([]int{child.Process.Pid, os.Getpid()}, time.Hour)
	s.Mark()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, child.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.look() // it is a zombie now
	s.mu.Unlock()
	_ = child.Wait()
	used := s.Stop()
	if u := used[0]; !u.Ended || len(u.Missing) != 1 || !strings.Contains(u.Missing[0], "has ended") || u.Anon == 0 {
		t.Errorf("a process that was killed: %+v", u)
	}
	if used[1].Ended {
		t.Error("I have not ended")
	}
	if u := StartSampler([]int{child.Process.Pid}, 0).Stop()[0]; !u.Ended || u.CPU() != 0 {
		t.Errorf("a process that never was: %+v", u)
	}
}

func TestBetween(t *testing.T) {
	begin := time.Now()
	s := &Sampler{watched: []*watched{{pid: 1}, {pid: 2}}}
	for i := range 10 {
		at := begin.Add(time.Duration(i) * 100 * time.Millisecond)
		s.samples = append(s.samples, sample{at, 1, 100 * time.Millisecond, float64(i), int64(i)}, sample{at, 2, 100 * time.Millisecond, 0.5, 100})
	}
	cores, anon := s.Between(begin.Add(250*time.Millisecond), begin.Add(500*time.Millisecond))
	if cores != 4+0.5 || anon != 5+100 {
		t.Errorf("%v cores and %d bytes, want 4.5 and 105", cores, anon)
	}
	at := begin.Add(time.Second) // the window begins: one look just after another, which says nothing of the second
	s.samples = append(s.samples, sample{at, 1, 100 * time.Millisecond, 1, 0}, sample{at.Add(10 * time.Microsecond), 1, 10 * time.Microsecond, 40, 0})
	if cores, _ := s.Between(begin.Add(950*time.Millisecond), begin.Add(1050*time.Millisecond)); cores > 1.01 {
		t.Errorf("%v cores, want 1", cores)
	}
}

func TestParseStat(t *testing.T) {
	s, err := parseStat("7 (a) (b) R 1 7 7 0 -1 2097152 11 0 13 0 15 16 0 0 20 0 1 0 4711 1 2 3\n")
	want := stat{name: "a) (b", kernel: true, started: "4711", user: 150 * time.Millisecond, system: 160 * time.Millisecond, minor: 11, major: 13}
	if err != nil || s != want {
		t.Errorf("%+v, %v; want %+v", s, err, want)
	}
	for _, bad := range []string{"", "7 a R", "7 (a) R 1 2"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q has been taken", bad)
		}
	}
}

func TestGroup(t *testing.T) {
	for name, want := range map[string]string{
		"kafka-io-7": "kafka-io", "GC Thread#0": "GC Thread", "G1 Conc#12": "G1 Conc", "millrace": "millrace", "42": "42", "data-plane-kafk": "data-plane-kafk", "C2 CompilerThre": "C2 CompilerThre",
	} {
		if got := group(name); got != want {
			t.Errorf("%q is of %q, want %q", name, got, want)
		}
	}
}
