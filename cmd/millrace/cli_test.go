package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// every calls f for each command that people see.
func every(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			every(sub, f)
		}
	}
}

// Help begins with the examples; results come as JSON too; whoever takes something away explains the one rule and has its flags.
func TestConventionsOfCommands(t *testing.T) {
	noJSON := []string{"millrace server", "millrace consume", "millrace completion"} // it runs on; -o is the offset, -J is JSON; a script
	destructive := []string{"millrace topic delete", "millrace topic trim", "millrace group delete", "millrace group seek"}
	every(newRoot(), func(c *cobra.Command) {
		path := c.CommandPath()
		if n := strings.Count("\n"+c.Example, "\n  "); n < 2 || n > 4 {
			t.Errorf("%s has %d examples, want 2 or 3", path, n)
		}
		for line := range strings.Lines(c.Example) {
			if !strings.Contains(line, "millrace") {
				t.Errorf("%s: the example %q does not name the program", path, line)
			}
		}
		if c.Short == "" || len(c.Short) > 110 {
			t.Errorf("%s: the short text has %d characters", path, len(c.Short))
		}
		if c.HasSubCommands() {
			return
		}
		f := c.Flags().Lookup("output")
		if hasJSON := f != nil && strings.Contains(f.Usage, "json"); hasJSON == slices.Contains(noJSON, path) {
			t.Errorf("%s: -o json %v", path, hasJSON)
		}
		if c.Flags().Lookup("brokers") != nil && c.Flags().Lookup("timeout") == nil {
			t.Errorf("%s has no --timeout", path)
		}
		has := c.Flags().Lookup("yes") != nil && c.Flags().Lookup("dry-run") != nil && strings.Contains(c.Long, consentHelp)
		if has != slices.Contains(destructive, path) {
			t.Errorf("%s: asks for consent %v", path, has)
		}
	})
}

func TestHelpBeginsWithExamples(t *testing.T) {
	root := newRoot()
	var out strings.Builder
	root.SetOut(&out)
	root.SetArgs([]string{"group", "seek", "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "Move the committed offsets of a group that has no members" || !strings.HasPrefix(lines[2], "  millrace group seek payment") {
		t.Errorf("help begins with\n%s", strings.Join(lines[:3], "\n"))
	}
}

func TestNearest(t *testing.T) {
	names := []string{"orders", "payments", "payments-dlq", "Inventory"}
	for word, want := range map[string]string{
		"ordres": "orders", "order": "orders", "paymet": "payments", "inventory": "Inventory", "pay": "payments", "emails": "", "o": "", "": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestParseRanges(t *testing.T) {
	for text, want := range map[string][]int32{"0": {0}, "0,2-5": {0, 2, 3, 4, 5}, " 7 , 1-1": {7, 1}} {
		if got, err := parseRanges(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("parseRanges(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "3-1", "0-2147483647", "1,,2", "99999999999"} {
		if got, err := parseRanges(text); err == nil {
			t.Errorf("parseRanges(%q) = %d numbers, want an error", text, len(got))
		}
	}
	if got := ranges([]int32{5, 0, 1, 2, 7}); got != "0-2,5,7" {
		t.Errorf("ranges = %q", got)
	}
}

func TestParsePosition(t *testing.T) {
	now := time.UnixMilli(10_000_000)
	for text, want := range map[string]position{
		"start": {atStart, 0}, "earliest": {atStart, 0}, "end": {beforeEnd, 0}, "latest": {beforeEnd, 0}, "7": {atOffset, 7}, "-7": {beforeEnd, 7},
		"-9223372036854775808": {beforeEnd, 9223372036854775807}, "@-10s": {atTime, 9_990_000}, "@5": {atTime, 5}, "@1970-01-01T00:00:01Z": {atTime, 1000}, "@1970-01-02": {atTime, 86_400_000},
	} {
		if got, err := parsePosition(text, now); err != nil || got != want {
			t.Errorf("parsePosition(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "+1", "soon", "@", "@10s", "@soon", "1.5"} {
		if got, err := parsePosition(text, now); err == nil {
			t.Errorf("parsePosition(%q) = %v, want an error", text, got)
		}
	}
}

func TestReadOffsets(t *testing.T) {
	want := partitions[int64]{"orders": {0: 5, 1: 7}}
	for name, text := range map[string]string{
		"kafka without group": "orders,0,5\norders,1,7\n",
		"kafka with group":    "payment,orders,0,5\nother,orders,0,99\n\"payment\",\"orders\",1,7\n",
		"group lag":           "group,topic,partition,committed_offset,start_offset,end_offset,lag\npayment,orders,0,5,0,9,4\nother,orders,1,3,0,9,4\npayment,orders,1,7,0,9,2\npayment,orders,2,,0,9,\n",
		"own columns":         "topic,partition,offset\norders,0,5\norders,1,7\norders,2,-\n",
		"group seek":          `{"partitions":[{"topic":"orders","partition":0,"committed_offset":1,"new_offset":5},{"topic":"orders","partition":1,"new_offset":7}]}`,
		"group describe":      `{"groups":[{"name":"other","partitions":[{"topic":"orders","partition":3,"committed_offset":1}]},{"name":"payment","partitions":[{"topic":"orders","partition":0,"committed_offset":5},{"topic":"orders","partition":1,"committed_offset":7},{"topic":"orders","partition":2,"committed_offset":null}]}]}`,
		"kafka's JSON":        ` {"version":1,"partitions":[{"topic":"orders","partition":0,"offset":5},{"topic":"orders","partition":1,"offset":7}]}`,
	} {
		file := filepath.Join(t.TempDir(), "offsets")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readOffsets(file, "payment"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	for _, text := range []string{"orders,0", "orders,-1,5", "orders,0,-5", "orders,zero,5", `{"partitions":[{"topic":"orders","partition":0,"offset":-5}]}`, `{`, `{"partitions":7}`, ",0,5", "\"orders,0,5"} {
		file := filepath.Join(t.TempDir(), "offsets")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readOffsets(file, "payment"); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

func TestLagOfPartitions(t *testing.T) {
	committed := kadm.OffsetResponses{}
	for _, o := range []kadm.Offset{{Topic: "t", Partition: 0, At: 10}, {Topic: "t", Partition: 1, At: 2}, {Topic: "t", Partition: 2, At: 30}, {Topic: "t", Partition: 9, At: 1}, {Topic: "gone", Partition: 0, At: 1}, {Topic: "t", Partition: 3, At: -1}} {
		committed.Add(kadm.OffsetResponse{Offset: o})
	}
	all := partitions[bounds]{"t": {0: {0, 15, nil}, 1: {5, 15, nil}, 2: {0, 15, nil}, 3: {0, 15, nil}, 4: {0, 15, nil}}}
	members := []groupMember{{ID: "m", ClientID: "c", Host: "/h", Assignment: []topicPartitions{{"t", []int32{4}}}}}
	var got []string
	for _, p := range partitionLags(members, committed, all) {
		got = append(got, strings.Join([]string{p.Topic, orDash(p.Committed), orDash(p.Lag), p.member, p.Note}, "|"))
	}
	want := []string{
		"gone|1|-||there is no such topic any more",
		"t|10|5||",
		"t|2|13||3 offsets before the start are gone",
		"t|30|0||committed beyond the end",
		"t|-|-||",
		"t|-|-|c at h|",
		"t|1|-||there is no such partition any more",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDoctorJudgesTheHost(t *testing.T) {
	for _, c := range []struct {
		what string
		got  check
		want status
	}{
		{"open files, many", openFilesCheck(1<<20, ""), healthy},
		{"open files, some", openFilesCheck(20000, ""), doubtful},
		{"open files, few", openFilesCheck(1024, ""), broken},
		{"maps, many", mapCountCheck("1048576", 10), healthy},
		{"maps, Linux's default", mapCountCheck("65530", 0), doubtful},
		{"maps, used up", mapCountCheck("65530", 65000), broken},
		{"maps, unknown", mapCountCheck("", 0), unknown},
		{"huge pages, always", hugePages("[always] madvise never"), doubtful},
		{"huge pages, madvise", hugePages("always [madvise] never"), healthy},
		{"huge pages, none", hugePages(""), unknown},
		{"swap, none", swappiness("60", "Filename Type Size Used Priority"), healthy},
		{"swap, eager", swappiness("60", "Filename Type Size Used Priority\n/swap file 1 0 -2"), doubtful},
		{"swap, reluctant", swappiness("1", "Filename Type Size Used Priority\n/swap file 1 0 -2"), healthy},
		{"clock", clockCheck(false), healthy},
		{"clock, free", clockCheck(true), doubtful},
		{"ext4", fileSystemCheck(0xef53), healthy},
		{"xfs", fileSystemCheck(0x58465342), healthy},
		{"tmpfs", fileSystemCheck(0x01021994), doubtful},
		{"nfs", fileSystemCheck(0x6969), doubtful},
		{"some file system", fileSystemCheck(1), unknown},
		{"space", freeSpace(100<<30, 50<<30), healthy},
		{"space, little", freeSpace(100<<30, 10<<30), doubtful},
		{"space, none", freeSpace(100<<30, 1<<29), broken},
		{"inodes", freeFiles(1000, 500), healthy},
		{"inodes, none", freeFiles(1000, 1), broken},
		{"inodes, not limited", freeFiles(0, 0), healthy},
	} {
		if c.got.Status != c.want || (c.got.Fix == "") == (c.want == broken || c.want == doubtful) || c.got.Found == "" && c.what[:4] != "open" {
			t.Errorf("%s: %+v, want %s", c.what, c.got, c.want)
		}
	}
	if n, ok := openFilesOf("Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n"); !ok || n != 1024 {
		t.Errorf("limits: %d, %v", n, ok)
	}
}

func TestDoctorComparesClocks(t *testing.T) {
	begin := time.UnixMilli(1_000_000)
	for _, c := range []struct {
		told time.Time
		took time.Duration
		want status
	}{
		{begin.Add(time.Millisecond), 2 * time.Millisecond, healthy},
		{begin.Add(400 * time.Millisecond), time.Second, healthy}, // a slow answer explains it
		{begin.Add(2 * time.Second), 2 * time.Millisecond, doubtful},
		{begin.Add(-time.Minute), 2 * time.Millisecond, broken},
		{begin.Add(time.Hour), time.Second, broken},
	} {
		if got := skew("clock", c.told, begin, c.took); got.Status != c.want {
			t.Errorf("%v after %v: %+v, want %s", c.told.Sub(begin), c.took, got, c.want)
		}
	}
}

// A name of others neither moves the cursor nor breaks a line.
func TestTablesArePrintable(t *testing.T) {
	var b strings.Builder
	if err := printTable(&b, [][]string{{"NAME", "N", ""}, {"a\x1b[31m\tb", "1", ""}, {"größe 日本", "2", "note"}, {"\xff", "3", ""}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME            N\n\"a\\x1b[31m\\tb\"  1\ngröße 日本        2  note\n\"\\xff\"          3\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestAlterationsAreForeseen(t *testing.T) {
	text := func(s string) *string { return &s }
	settings := []setting{{Name: "cleanup.policy", Value: text("delete,compact"), Default: text("delete")}}
	for change, want := range map[string]string{
		"cleanup.policy=compact": "compact", "cleanup.policy+=compact": "delete,compact", "cleanup.policy-=delete": "compact", "cleanup.policy+=x,delete": "delete,compact,x", "cleanup.policy-=compact,delete": "",
	} {
		a, err := parseAlteration(change)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.would(settings, settings[0].Value); *got != want {
			t.Errorf("%s: %q, want %q", change, *got, want)
		}
	}
	deleted, err := parseAlterations(nil, []string{"cleanup.policy"})
	if err != nil {
		t.Fatal(err)
	}
	if got := deleted[0].would(settings, settings[0].Value); *got != "delete" {
		t.Errorf("deleted: %q", *got)
	}
	if got := inUnitOf("retention.ms", "log.retention.hours", "168"); *got != "604800000" {
		t.Errorf("hours: %s", *got)
	}
}

// Exit codes and hints of what a broker refuses.
func TestRefusalsOfBrokers(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit int
		code string
	}{
		{&kadm.AuthError{Err: kerr.TopicAuthorizationFailed}, exitDenied, "topic_authorization_failed"},
		{&kadm.ShardErrors{Errs: []kadm.ShardError{{Err: kerr.GroupAuthorizationFailed}}}, exitDenied, "group_authorization_failed"},
		{kerr.SaslAuthenticationFailed, exitDenied, "sasl_authentication_failed"},
		{kerr.CoordinatorNotAvailable, exitFailed, "coordinator_not_available"},
		{kerr.UnsupportedVersion, exitFailed, "unsupported_version"},
		{context.DeadlineExceeded, exitTimeout, "timeout"},
	} {
		if f := explain(fmt.Errorf("asking: %w", c.err)); f.exit != c.exit || f.code != c.code || f.hint == "" && c.exit != exitTimeout {
			t.Errorf("%v: %+v, want exit code %d, %s, and a hint", c.err, *f, c.exit, c.code)
		}
	}
}
