package host

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestDisturbed(t *testing.T) {
	quiet := func() (Machine, []Usage, Lateness) {
		l := newLateness()
		l.Elapsed = 10 * time.Second
		_ = l.Histogram.RecordValue(60)
		m := Machine{Elapsed: 10 * time.Second, Cores: 2, User: 4 * time.Second, System: 6 * time.Second, Interrupt: time.Second, Kernel: 2 * time.Second, Idle: 9 * time.Second}
		return m, []Usage{{User: 2 * time.Second, System: 2 * time.Second}, {User: 2 * time.Second, System: time.Second}}, l
	}
	for _, c := range []struct {
		name  string
		spoil func(*Machine, []Usage, *Lateness)
		want  []string
	}{
		{"quiet", func(*Machine, []Usage, *Lateness) {}, nil},
		{"stolen", func(m *Machine, _ []Usage, _ *Lateness) { m.Steal = 210 * time.Millisecond }, []string{"took 1.1 %", "limit 1 %"}},
		{"stolen a little", func(m *Machine, _ []Usage, _ *Lateness) { m.Steal = 190 * time.Millisecond }, nil},
		{"others", func(m *Machine, _ []Usage, _ *Lateness) { m.User += 500 * time.Millisecond }, []string{"used 7.5 %", "limit 5 %"}},
		{"held up", func(_ *Machine, _ []Usage, l *Lateness) {
			l.Lost, l.Longest = 30*time.Millisecond, 30*time.Millisecond
		}, []string{"30ms in all", "limit 20ms in 10s"}},
		{"held up by itself", func(m *Machine, u []Usage, l *Lateness) {
			l.Lost, l.Longest = 90*time.Millisecond, 90*time.Millisecond
			m.User += 8 * time.Second
			u[0].User += 8 * time.Second
		}, nil},
		{"held up while full", func(m *Machine, u []Usage, l *Lateness) {
			l.Lost, l.LostLong, l.Longest = 300*time.Millisecond, 120*time.Millisecond, 120*time.Millisecond
			m.User += 8 * time.Second
			u[0].User += 8 * time.Second
		}, []string{"120ms in all"}},
		{"no meter", func(_ *Machine, _ []Usage, l *Lateness) { *l = Lateness{} }, []string{"not measured"}},
		{"no machine", func(m *Machine, _ []Usage, _ *Lateness) { *m = Machine{} }, []string{"not measured"}},
	} {
		m, u, l := quiet()
		c.spoil(&m, u, &l)
		got := Disturbed(m, u, l)
		if (len(got) == 0) != (len(c.want) == 0) || len(got) > 1 {
			t.Errorf("%s: %q", c.name, got)
		}
		for _, w := range c.want {
			if !strings.Contains(strings.Join(got, "\n"), w) {
				t.Errorf("%s: %q does not say %q", c.name, got, w)
			}
		}
	}
}

func TestHiccups(t *testing.T) {
	begin := time.Now()
	h := StartHiccups()
	<-time.After(20 * nap) // the length of the run, however late it ends
	l := h.Stop()
	worst := h.Worst(begin, time.Now())
	if n := l.Histogram.TotalCount(); n < 4 || n > int64(l.Elapsed/nap)+1 || l.Elapsed < 20*nap {
		t.Errorf("%d naps in %v", n, l.Elapsed)
	}
	if l.Longest != worst || time.Duration(l.Histogram.Max()+1)*time.Microsecond < l.Longest*99/100 {
		t.Errorf("longest %v, worst of the time axis %v, of the histogram %d us", l.Longest, worst, l.Histogram.Max())
	}
}

// What the meter costs: cpu-%/core.
func BenchmarkHiccups(b *testing.B) {
	for b.Loop() {
		s := StartSampler([]int{os.Getpid()}, time.Hour)
		h := StartHiccups()
		<-time.After(2 * time.Second)
		l := h.Stop()
		u := s.Stop()[0]
		b.ReportMetric(100*u.Cores(), "cpu-%")
		b.ReportMetric(float64(l.Histogram.ValueAtQuantile(50)), "p50-us")
		b.ReportMetric(float64(l.Histogram.ValueAtQuantile(99.9)), "p99.9-us")
	}
}

func TestHiccupsCountWhatTheySwallowed(t *testing.T) {
	start := time.Now()
	h := &Hiccups{start: start, found: newLateness()}
	h.note(start.Add(time.Millisecond), 40*time.Microsecond)
	h.note(start.Add(250*time.Millisecond), 105*time.Millisecond)
	if n := h.found.Histogram.TotalCount(); n != 1+21 {
		t.Errorf("%d naps, want one of 105 ms to count as 21", n)
	}
	if h.found.Lost != 105*time.Millisecond || h.found.LostLong != 105*time.Millisecond || h.found.Longest != 105*time.Millisecond {
		t.Errorf("%+v", h.found)
	}
	if d := h.Worst(start, start.Add(slot)); d != 40*time.Microsecond {
		t.Errorf("worst of the first tenth of a second: %v", d)
	}
	if d := h.Worst(start.Add(slot), start.Add(time.Hour)); d != 105*time.Millisecond {
		t.Errorf("worst after that: %v", d)
	}
	h.Mark()
	if h.found.Longest != 0 || h.Worst(start, start.Add(time.Second)) != 105*time.Millisecond {
		t.Error("a window that begins forgets what was before, the time axis does not")
	}
}
