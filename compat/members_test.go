//go:build compat

package compat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// member is a program that reads as a member of a group until it is stopped.
func (p program) member(t *testing.T, addr, group, topic string, flags ...string) *process {
	t.Helper()
	return p.start(t, addr, "consume", append([]string{"--group", group, "--topic", topic, "--count", "0", "--every", "20"}, flags...)...)
}

// owned is what the process has last said it owns: its number of partitions, -1 before it has said anything.
func owned(events []event) int {
	for _, e := range slices.Backward(events) {
		if e.name == "assigned" {
			if e.fields[0] == "" {
				return 0
			}
			return strings.Count(e.fields[0], ",") + 1
		}
	}
	return -1
}

func (r *process) untilOwning(partitions int) {
	r.t.Helper()
	r.until(fmt.Sprintf("owning %d partitions", partitions), func(es []event) bool { return owned(es) == partitions })
}

// untilRead waits until the processes have read this many records together, each counted once. The first of them has to live that long.
func untilRead(want int, rs ...*process) {
	rs[0].t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience()); ; <-tick.C {
		seen := map[string]bool{}
		for _, r := range rs {
			events, _ := r.events()
			for _, e := range events {
				if e.name == "record" {
					seen[e.fields[0]+":"+e.fields[1]] = true
				}
			}
		}
		if len(seen) >= want {
			return
		}
		select {
		case <-rs[0].ended:
			rs[0].fail("ended when %d of %d records were read", len(seen), want)
		default:
		}
		if time.Now().After(deadline) {
			rs[0].fail("and those beside it have read %d records of %d within %v", len(seen), want, patience())
		}
	}
}

// TestProgramsSharePartitions: a member reads four partitions alone, a second one takes two of them, and gives them back when it leaves; meanwhile records
// are sent. By an eager assignor and by a cooperative one, where the client has it. No record is skipped, and none is repeated that was committed.
func TestProgramsSharePartitions(t *testing.T) {
	budget(t, "programs: shared partitions", 60*time.Second)
	addr := startBroker(t)
	together(t, func(t *testing.T, p program) {
		assignors := []string{p.eager()}
		if slices.Contains(p.assignors, "cooperative") {
			assignors = append(assignors, "cooperative")
		}
		for _, assignor := range assignors {
			t.Run(assignor, func(t *testing.T) { sharePartitions(t, addr, p, assignor) })
		}
	})
}

func sharePartitions(t *testing.T, addr string, p program, assignor string) {
	topic, group := fresh(t, addr, p.name+"-shared", 4), fresh(t, addr, p.name+"-"+assignor, 0)
	var all lines
	const part = 400
	send := func() {
		more := generate(p, 7, len(all), len(all)+part)
		p.run(t, addr, "produce", "--topic", topic, "--in", more.file(t), "--codec", "none", "--idempotent", fmt.Sprint(p.idempotent))
		all = append(all, more...)
	}
	send()
	first := p.member(t, addr, group, topic, "--assignor", assignor)
	first.untilOwning(4)
	untilRead(len(all), first)

	second := p.member(t, addr, group, topic, "--assignor", assignor)
	send() // while they share
	second.untilOwning(2)
	first.untilOwning(2)
	untilRead(len(all), first, second)
	send()
	untilRead(len(all), first, second)
	if n := len(named(second.stop(), "record")); n == 0 {
		t.Error("the second member read nothing")
	}
	send() // while the first one takes over
	first.untilOwning(4)
	untilRead(len(all), first, second)
	first.stop()

	members := map[string][]event{}
	members["the first"], _ = first.events()
	members["the second"], _ = second.events()
	if err := all.check(p, p, append(named(members["the first"], "record"), named(members["the second"], "record")...)); err != nil {
		t.Error(err)
	}
	if err := checkHandovers(p, members); err != nil {
		t.Error(err)
	}
}

// TestProgramsKeepTheirSeats: static members. One of two is killed and comes back under its name within the session: it has the same partitions at once, and
// the other one has noticed nothing. A second process of the same name fences the first.
func TestProgramsKeepTheirSeats(t *testing.T) {
	budget(t, "programs: static members", 60*time.Second)
	addr := startBroker(t)
	together(t, func(t *testing.T, p program) {
		if !p.static {
			t.Skip("has no static members")
		}
		topic, group := fresh(t, addr, p.name+"-seats", 4), fresh(t, addr, p.name+"-static", 0)
		all := generate(p, 8, 0, 400)
		p.run(t, addr, "produce", "--topic", topic, "--in", all.file(t), "--codec", "none", "--idempotent", "false")
		a := p.member(t, addr, group, topic, "--assignor", p.eager(), "--instance", "seat-a")
		a.untilOwning(4)
		b := p.member(t, addr, group, topic, "--assignor", p.eager(), "--instance", "seat-b")
		b.untilOwning(2)
		a.untilOwning(2)
		untilRead(len(all), a, b)
		before, _ := b.events()
		seat := seatOf(a)

		a.kill()
		again := p.member(t, addr, group, topic, "--assignor", p.eager(), "--instance", "seat-a")
		again.untilOwning(2)
		if got := seatOf(again); got != seat {
			t.Errorf("the member came back to %s, it had %s", got, seat)
		}
		more := generate(p, 8, 400, 500)
		p.run(t, addr, "produce", "--topic", topic, "--in", more.file(t), "--codec", "none", "--idempotent", "false")
		untilRead(len(all)+len(more), again, b, a)
		after, _ := b.events()
		if n := len(named(after, "assigned")) - len(named(before, "assigned")); n != 0 {
			t.Errorf("the other member went through %d assignments meanwhile", n)
		}

		usurper := p.member(t, addr, group, topic, "--assignor", p.eager(), "--instance", "seat-b")
		usurper.untilOwning(2)
		if p.deaf {
			return
		}
		select {
		case <-b.ended:
			if b.err == nil {
				t.Error("the fenced member ended as if nothing were wrong")
			}
		case <-time.After(patience()):
			b.fail("goes on although another process has its name")
		}
	})
}

// seatOf is what the process has last said it owns, sorted.
func seatOf(r *process) string {
	events, _ := r.events()
	all := named(events, "assigned")
	partitions := strings.Split(all[len(all)-1].fields[0], ",")
	slices.Sort(partitions)
	return strings.Join(partitions, ",")
}

// TestProgramsWaitForATopic: a member subscribes to a topic that does not exist yet, and reads it once it does.
func TestProgramsWaitForATopic(t *testing.T) {
	budget(t, "programs: a topic to come", 40*time.Second)
	addr := startBroker(t)
	admin := kadm.NewClient(connect(t, addr))
	together(t, func(t *testing.T, p program) {
		if strings.Contains(p.cannot, "wait") {
			t.Skip("ends with an error when there is no such topic")
		}
		topic, group := fresh(t, addr, p.name+"-to-come", 0), fresh(t, addr, p.name+"-waits", 0)
		m := p.member(t, addr, group, topic, "--assignor", p.eager())
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C { // some join at once, others when there is something to read
			if g, err := admin.DescribeGroups(t.Context(), group); err == nil && len(g[group].Members) > 0 {
				break
			}
		}
		if _, err := admin.CreateTopic(t.Context(), 2, 1, nil, topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // the subscription may have created it
			t.Fatal(err)
		}
		all := generate(p, 9, 0, 100)
		p.run(t, addr, "produce", "--topic", topic, "--in", all.file(t), "--codec", "none", "--idempotent", "false")
		untilRead(len(all), m)
		if err := all.check(p, p, named(m.stop(), "record")); err != nil {
			t.Error(err)
		}
	})
}
