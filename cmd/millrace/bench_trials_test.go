package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// decode reads a document of -o json.
func decode(t *testing.T, out, stderr string, document any) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), document); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
}

// other starts a broker whose topics promise less, and returns its address.
func other(t *testing.T) string {
	dir := t.TempDir()
	ports := filepath.Join(dir, "ports.json")
	server, stderr := start("server", "--port", "0", "--ports-file", ports, "--data-dir", filepath.Join(dir, "data"), "-o", "millrace.durability=os")
	t.Cleanup(func() { stop(server) })
	if err := waitForFile(ports, server); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	address, _ := readPorts(ports)
	return address
}

func TestBenchABWantsThePromiseToBeTheSame(t *testing.T) {
	args := []string{"bench", "ab", "a=" + kafka, "b=" + other(t), "--rate", "200", "--duration", "200ms", "--warmup", "50ms", "--blocks", "1", "--settle", "1ms", "--live", "off", "-o", "json"}
	out, stderr, exit := millrace(t, args...)
	if exit != exitUsage || out != "" || !strings.Contains(stderr, `"code":"unequal_durability"`) || !strings.Contains(stderr, "--unequal-durability") {
		t.Errorf("exit code %d\n%s%s", exit, out, stderr)
	}
	for _, c := range []struct{ more, a, b, headline string }{
		{"--durability=os", "os", "os", ""},
		{"--unequal-durability", "fsync", "os", "UNEQUAL DURABILITY"},
	} {
		html := filepath.Join(t.TempDir(), "ab.html")
		out, stderr, exit = millrace(t, append(args, c.more, "--html", html)...)
		var d trial.Comparison
		decode(t, out, stderr, &d)
		// One block is two pairs, which carry no verdict.
		if exit != exitUnsound || d.Schema != trial.ComparisonSchema || d.Durability != [2]string{c.a, c.b} || len(d.Segments) == 0 || !strings.HasPrefix(d.Headline, c.headline) {
			t.Errorf("%s: exit code %d, %s, durability %v, %d segments, %q\n%s", c.more, exit, d.Schema, d.Durability, len(d.Segments), d.Headline, stderr)
		}
		if page, err := os.ReadFile(html); err != nil || !strings.HasPrefix(string(page), "<!doctype html>") {
			t.Errorf("%s: no report (%v)", c.more, err)
		}
	}
}

func TestBenchSweepSaysWhatEndedIt(t *testing.T) {
	out, stderr, exit := millrace(t, "bench", "sweep", "--slo", "produce.p50=60s", "--rate", "200", "--highest", "200", "--duration", "200ms", "--warmup", "50ms", "--settle", "1ms",
		"-b", kafka, "--live", "off", "-o", "json")
	var d trial.Swept
	decode(t, out, stderr, &d)
	want := map[string]int{"range": exitOK, "disturbance": exitUnsound, "generator": exitUnsound, "broker": exitUnhealthy}[d.Bounded]
	if d.Schema != trial.SweepSchema || len(d.Points) < 2 || exit != want || d.Bounded == "range" && d.Highest != 200 {
		t.Errorf("exit code %d, want %d: %s by %s, %s", exit, want, d.Schema, d.Bounded, d.Words)
	}
}

// A suite keeps its results, goes on where it was, and goals are held against them.
func TestBenchSuiteAndItsGate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	suite := []string{"bench", "suite", "short", "--cell", "S1", "--settle", "1ms", "--dir", dir, "--live", "off"}
	out, stderr, exit := millrace(t, append(suite, "-o", "json")...)
	var d trial.SuiteResult
	decode(t, out, stderr, &d)
	if exit != exitOK || d.Schema != trial.SuiteSchema || len(d.Cells) != 1 || d.Cells[0].Figures["millrace"]["first_ack"] <= 0 {
		t.Fatalf("exit code %d, %+v\n%s", exit, d, stderr)
	}
	if _, stderr, exit := millrace(t, suite...); exit == exitOK || !strings.Contains(stderr, "--resume") {
		t.Errorf("the same directory again: exit code %d\n%s", exit, stderr)
	}
	if out, stderr, exit := millrace(t, append(suite, "--resume")...); exit != exitOK || !strings.Contains(out, "first_ack") {
		t.Errorf("resumed: exit code %d\n%s%s", exit, out, stderr)
	}
	for _, c := range []struct {
		goal string
		exit int
		out  string
	}{
		{"{cell: S1, metric: first_ack, limit: <= 60s, reason: it starts}", exitOK, "passed    S1: first_ack <= 60s"},
		{"{cell: S1, metric: first_ack, limit: <= 1us, reason: a wonder}", exitUnhealthy, "failed    S1: first_ack <= 1us"},
		{"{cell: S2, metric: create, limit: <= 60s, reason: nobody ran it}", exitUnsound, "undecided S2: create <= 60s, was not run; nobody ran it"},
		{"{cell: S1, metric: speed, limit: <= 1, reason: no such thing}", exitUsage, ""},
	} {
		goals := filepath.Join(t.TempDir(), "goals.yaml")
		if err := os.WriteFile(goals, []byte("- "+c.goal+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, stderr, exit := millrace(t, "bench", "gate", goals, dir); exit != c.exit || !strings.HasPrefix(out, c.out) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", c.goal, exit, c.exit, out, stderr)
		}
	}
}

func TestBenchFloorIsVerifiedToo(t *testing.T) {
	out, stderr, exit := millrace(t, "bench", "floor", "--cell", "P1-64k", "--variant", "pwrite+sendfile", "--duration", "200ms", "--allow-disturbed", "--live", "off", "-o", "json")
	var r bench.Result
	decode(t, out, stderr, &r)
	countsOrSaysWhy(t, exit, stderr, &r)
	if !r.Verdict.Intact() || r.Load.Records == 0 || r.Target.Name != "pwrite+sendfile" || r.Spec.Name != "P1-64k" {
		t.Errorf("%v, %+v, %+v", r.Verdict, r.Load, r.Target)
	}
}
