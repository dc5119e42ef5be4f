//go:build compat

package compat

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// committed is what a group has committed, by our own client.
func committed(t *testing.T, addr, group string) map[string]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := kadm.NewClient(connect(t, addr)).FetchOffsets(ctx, group)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	got.Each(func(o kadm.OffsetResponse) { all[fmt.Sprintf("%s:%d", o.Topic, o.Partition)] = o.At })
	return all
}

// notEmpty is how clients say that a group with members is not deleted.
var notEmpty = regexp.MustCompile(`(?i)(non|not)[_ ]?-?\s?empty|68`)

// TestProgramsAdministerGroups: each client's admin API looks at a group of another client: its state and members, the list of groups, the offsets it
// has committed; it cannot delete the group while it has a member, and can when it has none.
func TestProgramsAdministerGroups(t *testing.T) {
	budget(t, "programs: groups by admin", 40*time.Second)
	addr := startBroker(t)
	together(t, func(t *testing.T, p program) {
		if p.admin == "" {
			t.Skip("has no admin API for groups")
		}
		i := slices.IndexFunc(programs, func(q program) bool { return q.name == p.name })
		other := programs[(i+1)%len(programs)]
		topic, group := fresh(t, addr, p.name+"-looks", 3), fresh(t, addr, other.name+"-seen-by-"+p.name, 0)
		all := generate(p, 10, 0, 300)
		p.run(t, addr, "produce", "--topic", topic, "--in", all.file(t), "--codec", "none", "--idempotent", "false")
		m := other.member(t, addr, group, topic, "--assignor", other.eager())
		untilRead(len(all), m)

		describe := func(state string, members int) {
			t.Helper()
			got := named(p.run(t, addr, "describe", "--group", group), "group")
			if len(got) != 1 || !strings.EqualFold(got[0].fields[0], state) || got[0].number(2) != int64(members) {
				t.Errorf("the group is %v, want %s with %d members", got, state, members)
			} else if protocol := got[0].fields[1]; members > 0 && protocol != "?" && protocol != other.eager() && !strings.Contains(strings.ToLower(protocol), other.eager()) {
				t.Errorf("the group's protocol is %q, want %q", protocol, other.eager())
			}
		}
		listed := func(want bool) {
			t.Helper()
			got := named(p.run(t, addr, "groups"), "name")
			if slices.ContainsFunc(got, func(e event) bool { return e.fields[0] == group }) != want {
				t.Errorf("%s in the list of groups: %v, want %v", group, !want, want)
			}
		}
		describe("Stable", 1)
		listed(true)
		if p.has("delete-group") {
			if got := p.run(t, addr, "delete-group", "--group", group); got[0].name != "refused" || !notEmpty.MatchString(got[0].fields[0]) {
				t.Errorf("deleting a group that has a member: %v", got)
			}
		}
		m.stop()
		describe("Empty", 0)
		want, got := committed(t, addr, group), map[string]int64{}
		for _, e := range named(p.run(t, addr, "offsets", "--group", group, "--topic", topic), "offset") {
			got[e.fields[0]+":"+e.fields[1]] = e.number(2)
		}
		if sum := want[topic+":0"] + want[topic+":1"] + want[topic+":2"]; !maps.Equal(got, want) || sum != int64(len(all)) {
			t.Errorf("the group has committed %v by %s, and %v by franz-go, of %d records", got, p.name, want, len(all))
		}
		if p.has("delete-group") {
			if got := p.run(t, addr, "delete-group", "--group", group); got[0].name != "deleted" {
				t.Errorf("deleting a group without members: %v", got)
			}
			listed(false)
			if left := committed(t, addr, group); len(left) != 0 {
				t.Errorf("the deleted group has offsets: %v", left)
			}
		}
	})
}

// TestProgramsReadAPartition: each client reads a partition of its choice, commits, and goes on there; and looks offsets up by time.
func TestProgramsReadAPartition(t *testing.T) {
	budget(t, "programs: assign and seek", 40*time.Second)
	addr := startBroker(t)
	topic := fresh(t, addr, "a-partition", 3)
	c := connect(t, addr, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	const perPartition = 100 // partition p has record i at second 3i+p
	for i := range perPartition {
		for p := range 3 {
			r := &kgo.Record{Partition: int32(p), Timestamp: start.Add(time.Duration(3*i+p) * time.Second), Value: fmt.Appendf(nil, "%d", i)}
			c.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	if err := c.Flush(t.Context()); err != nil || t.Failed() {
		t.Fatal(err)
	}
	together(t, func(t *testing.T, p program) {
		group := fresh(t, addr, p.name+"-assigns", 0)
		reads := func(from, count, first int) {
			t.Helper()
			got := p.run(t, addr, "assign", "--topic", topic, "--group", group, "--partition", "1", "--offset", itoa(from), "--count", itoa(count))
			for i, e := range named(got, "record") {
				if e.number(0) != 1 || e.number(1) != int64(first+i) {
					t.Fatalf("record %d is at partition %s, offset %s, want partition 1, offset %d", i, e.fields[0], e.fields[1], first+i)
				}
			}
			if n := len(named(got, "record")); n != count {
				t.Errorf("%d records, want %d", n, count)
			}
			if at := committed(t, addr, group)[topic+":1"]; at != int64(first+count) {
				t.Errorf("committed %d, want %d", at, first+count)
			}
		}
		if !strings.Contains(p.cannot, "assign") {
			reads(10, 20, 10)
			reads(-1, 5, 30)
			reads(0, 3, 0) // an application may go back
		}
		for _, want := range []struct {
			second  int
			offsets [3]int64
		}{{0, [3]int64{0, 0, 0}}, {150, [3]int64{50, 50, 50}}, {151, [3]int64{51, 50, 50}}, {298, [3]int64{-1, 99, 99}}, {10_000, [3]int64{-1, -1, -1}}} {
			at := start.Add(time.Duration(want.second) * time.Second).UnixMilli()
			events := p.run(t, addr, "seek", "--topic", topic, "--timestamp", fmt.Sprint(at))
			var got, read [3]int64
			for _, e := range named(events, "offset") {
				got[e.number(1)] = e.number(2)
			}
			for i := range read {
				read[i] = -1
			}
			for _, e := range named(events, "record") {
				read[e.number(0)] = e.number(1)
			}
			if got != want.offsets || read != want.offsets {
				t.Errorf("second %d is at offsets %v, and read from there are %v; want %v", want.second, got, read, want.offsets)
			}
		}
	})
}

// TestProgramsAreToldAboutTransactions: the broker has none yet and says so at once, where a client would else try again and again.
func TestProgramsAreToldAboutTransactions(t *testing.T) {
	budget(t, "programs: transactions", 20*time.Second)
	addr := startBroker(t)
	topic := fresh(t, addr, "transactions", 1)
	together(t, func(t *testing.T, p program) {
		start := time.Now()
		got := p.run(t, addr, "transact", "--topic", topic)
		took := time.Since(start)
		switch last := got[len(got)-1]; {
		case bootstrap != "" && last.name == "committed":
		case last.name != "refused" || strings.TrimSpace(last.fields[0]) == "":
			t.Errorf("a transaction ended with %v", got)
		case took > 15*time.Second:
			t.Errorf("a transaction was refused after %v: %s", took, last.fields[0])
		default:
			t.Log(last.fields[0])
		}
	})
}
