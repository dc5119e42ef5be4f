//go:build compat

package compat

import (
	"cmp"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// readers are the members of one group and what they have read together.
type readers struct {
	name, topic, addr string
	ways              []way // of its members
	mu                sync.Mutex
	all               []*reader
	records           map[int32]map[int64]string // key and value of what was read, by partition and offset
	lines             int                        // records read, with repetitions
	differs           []string                   // offsets that gave something else the second time
}

// begin starts all members.
func (g *readers) begin(t *testing.T, when string) {
	for i, w := range g.ways {
		g.start(t, fmt.Sprintf("%s %d", when, i), w)
	}
}

// start starts a member; it is killed at the end of the test if it still runs.
func (g *readers) start(t *testing.T, name string, by way) *reader {
	t.Helper()
	argv := by(t, g.addr, g.name, g.topic)
	r := &reader{name: g.name + "/" + name, cmd: exec.Command(argv[0], argv[1:]...), gone: make(chan struct{}), group: g, read: map[int32][]row{}, anew: map[int32]bool{}}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	g.all = append(g.all, r)
	g.mu.Unlock()
	var pipes sync.WaitGroup
	pipes.Go(func() { scan(stdout, r.line) })
	pipes.Go(func() { scan(stderr, r.complaint) })
	go func() {
		pipes.Wait()
		_ = r.cmd.Wait()
		close(r.gone)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.gone
		if t.Failed() {
			t.Logf("%s: assigned %v, stderr:\n%s", r.name, r.assigned, strings.Join(r.stderr[max(0, len(r.stderr)-8):], "\n"))
		}
	})
	return r
}

// eventually waits until ready says yes.
func eventually(t *testing.T, limit time.Duration, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ready(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// count is how many different records the group has read.
func (g *readers) count() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, of := range g.records {
		n += len(of)
	}
	return n
}

func (r *reader) living() bool {
	select {
	case <-r.gone:
		return false
	default:
		return true
	}
}

// settled waits until the living members have all partitions and so many of them have none.
func (g *readers) settled(t *testing.T, idle int) {
	t.Helper()
	eventually(t, 40*time.Second, g.name+" is settled", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		var owned []int32
		without := 0
		for _, r := range g.all {
			if !r.living() {
				continue
			}
			if !r.told {
				return false
			}
			if len(r.assigned) == 0 {
				without++
			}
			owned = append(owned, r.assigned...)
		}
		slices.Sort(owned)
		return slices.Equal(owned, []int32{0, 1, 2}) && without == idle
	})
}

// reread is what a member read and did not commit before it was killed: from the group's commit to its last record.
type reread struct {
	partition int32
	from, to  int64 // to is exclusive
}

// busy waits until one of the members has read so many records more than it has now.
func (g *readers) busy(t *testing.T, more int64) (first *reader) {
	t.Helper()
	had := map[*reader]int64{}
	eventually(t, 60*time.Second, g.name+" is at work", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, r := range g.all {
			var n int64
			for p := range r.read {
				n += r.count(p)
			}
			if before, ok := had[r]; !ok {
				had[r] = n
			} else if n > before+more && r.living() {
				first = r
			}
		}
		return first != nil
	})
	return first
}

// kill kills a member at work, as kill -9 does, and watches where its partitions go.
func (g *readers) kill(t *testing.T, admin *kadm.Client) (lost []reread) {
	t.Helper()
	victim := g.busy(t, 100)
	_ = victim.cmd.Process.Kill()
	at := time.Now()
	<-victim.gone

	committed, err := admin.FetchOffsets(t.Context(), g.name)
	if err != nil {
		t.Fatalf("%s: %v", g.name, err)
	}
	g.mu.Lock()
	seen := map[*reader]map[int32]int64{} // how far the others had read what the victim had
	for _, p := range victim.assigned {
		from := int64(0)
		if o, ok := committed.Lookup(g.topic, p); ok {
			from = o.At
		}
		to := from
		if n := len(victim.read[p]); n > 0 {
			to = victim.read[p][n-1].to
		}
		if from > to {
			t.Errorf("%s: partition %d is committed to %d, and only read to %d", victim.name, p, from, to)
		}
		lost = append(lost, reread{p, from, to})
		for _, r := range g.all {
			if seen[r] == nil {
				seen[r] = map[int32]int64{}
			}
			seen[r][p] = r.count(p)
		}
	}
	g.mu.Unlock()

	for _, l := range lost {
		eventually(t, sessionTimeout+10*time.Second, fmt.Sprintf("another member of %s reads partition %d", g.name, l.partition), func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return slices.ContainsFunc(g.all, func(r *reader) bool { return r != victim && r.count(l.partition) > seen[r][l.partition] })
		})
		took := time.Since(at)
		t.Logf("%s is killed; its partition %d moves after %.1f s, %d records are read again from the commit at %d", victim.name, l.partition,
			took.Seconds(), l.to-l.from, l.from)
		// The broker counts from the last heartbeat; the others hear of it by their next.
		if took > sessionTimeout+3*time.Second {
			t.Errorf("partition %d moves after %v; the session time-out is %v", l.partition, took, sessionTimeout)
		}
	}
	return lost
}

// stop ends all members in order, as an operator does.
func (g *readers) stop(t *testing.T) {
	t.Helper()
	for _, r := range g.all {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, r := range g.all {
		select {
		case <-r.gone:
		case <-time.After(30 * time.Second):
			t.Fatalf("%s does not stop", r.name)
		}
	}
}

// check proves that the members together read each partition from its first record to its last, in order, each record once, but for
// those that were read and not committed before a kill.
func (g *readers) check(t *testing.T, ends map[int32]int64, lost []reread) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, end := range ends {
		var rows []row
		for _, r := range g.all {
			rows = append(rows, r.read[p]...)
		}
		slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
		next, again := int64(0), slices.Clone(lost)
		for _, r := range rows {
			i := slices.IndexFunc(again, func(l reread) bool { return l.partition == p && l.from == r.from && l.to == next })
			switch {
			case r.from == next:
			case i >= 0:
				again = slices.Delete(again, i, i+1)
			default:
				t.Errorf("%s reads partition %d from %d where %d is due; lost by kills: %v", g.name, p, r.from, next, lost)
			}
			next = r.to
		}
		if next != end {
			t.Errorf("%s read partition %d to %d of %d", g.name, p, next, end)
		}
	}
	for _, d := range g.differs {
		t.Error(d)
	}
}
