package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// made writes results of one workload, whose broker used as much as it is told, and returns their directory.
func made(t *testing.T, cpu ...time.Duration) string {
	dir := t.TempDir()
	for i, used := range cpu {
		r := bench.Result{
			Schema: bench.ResultSchema, Started: time.Now(), Target: bench.Target{Name: "millrace", Durability: "os"}, Spec: bench.Spec{Name: "p1"}.WithDefaults(),
			Verdict: bench.Verdict{Sent: 1000, Consumed: 1000},
			Load:    bench.Load{Attempted: 1000, Acked: 1000, Records: 1000, Bytes: 1e9, Requests: 1000, Elapsed: 10 * time.Second, Achieved: 100, MegabytesASecond: 100},
			Brokers: []host.Usage{{Pid: 1, Elapsed: 10 * time.Second, User: used}},
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".json")), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// millrace runs the binary.
func millrace(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	c := exec.CommandContext(t.Context(), binary, args...)
	var out, err strings.Builder
	c.Stdout, c.Stderr = &out, &err
	_ = c.Run() // its exit code is looked at
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

func TestBenchCompareFailsOnWhatBecameWorse(t *testing.T) {
	const ms = time.Millisecond
	before := made(t, 500*ms, 501*ms, 502*ms, 503*ms, 504*ms)
	after := made(t, 600*ms, 601*ms, 602*ms, 603*ms, 604*ms)
	for _, c := range []struct {
		name     string
		args     []string
		exit     int
		out, err string
	}{
		{"nothing demanded", []string{before, after}, exitOK, "+19.9%", ""},
		{"worse", []string{before, after, "--fail-on", "cpu_per_gb>+5%"}, exitUnhealthy, "failed    p1: cpu_per_gb>+5%, +19.9 %", "1 of 1 demand failed"},
		{"better", []string{after, before, "--fail-on", "cpu_per_gb>+5%"}, exitOK, "passed    p1: cpu_per_gb>+5%, -16.6 %", ""},
		{"too few", []string{filepath.Join(before, "0.json"), after, "--fail-on", "cpu_per_gb>+5%"}, exitUnsound, "undecided p1", "the figures do not tell"},
		{"as JSON", []string{before, after, "-o", "json", "--fail-on", "cpu_per_gb>+5%"}, exitUnhealthy, `"schema": "millrace.bench.compare/v1"`, `{"error":{"code":"not_met"`},
		{"a slip", []string{before, after, "--fail-on", "throughput>+5%"}, exitUsage, "", "throughput is better when it is higher"},
		{"no such figure", []string{before, after, "--fail-on", "speed>+5%"}, exitUsage, "", "speed"},
		{"no results", []string{before, t.TempDir()}, exitFailed, "", "holds no results"},
		{"nothing there", []string{before, "nowhere"}, exitFailed, "", "hint: results are what `millrace bench run --json FILE`"},
	} {
		out, err, exit := millrace(t, append([]string{"bench", "compare"}, c.args...)...)
		if exit != c.exit || !strings.Contains(out, c.out) || !strings.Contains(err, c.err) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", c.name, exit, c.exit, out, err)
		}
	}
}

func TestBenchReportReadsWhatWasWritten(t *testing.T) {
	dir := made(t, time.Second, 2*time.Second)
	all := filepath.Join(t.TempDir(), "all.json")
	if out, err, exit := millrace(t, "bench", "report", dir, "--json", all); exit != exitOK || strings.Count(out, "millrace") < 2 {
		t.Errorf("exit code %d\n%s%s", exit, out, err)
	}
	out, err, exit := millrace(t, "bench", "report", all, "-o", "csv")
	if exit != exitOK || strings.Count(out, "\n") != 3 {
		t.Errorf("several results in one file: exit code %d\n%s%s", exit, out, err)
	}
	out, err, exit = millrace(t, "bench", "report", filepath.Join(dir, "0.json"), "-o", "json")
	if exit != exitOK || !strings.Contains(out, `"schema": "millrace.bench/v1"`) {
		t.Errorf("one result: exit code %d\n%s%s", exit, out, err)
	}
}

// The exit code says first what is wrong with the broker, then what is wrong with the measurement.
func TestExitCodesOfResults(t *testing.T) {
	sound := bench.Verdict{Sent: 1, Consumed: 1}
	for _, c := range []struct {
		name           string
		allowDisturbed bool
		result         bench.Result
		want           int
	}{
		{"sound", false, bench.Result{Verdict: sound}, exitOK},
		{"lost and invalid", false, bench.Result{Verdict: bench.Verdict{Sent: 1, Lost: 1}, Invalid: []string{"slip"}}, exitUnhealthy},
		{"invalid", true, bench.Result{Verdict: sound, Invalid: []string{"slip"}}, exitUnsound},
		{"disturbed", false, bench.Result{Verdict: sound, Disturbed: []string{"steal"}}, exitUnsound},
		{"disturbed, which was allowed", true, bench.Result{Verdict: sound, Disturbed: []string{"steal"}}, exitOK},
		{"late on a disturbed machine", false, bench.Result{Verdict: sound, Invalid: []string{"slip"}, Disturbed: []string{"steal"}}, exitUnsound},
		{"late on a disturbed machine, which was allowed", true, bench.Result{Verdict: sound, Invalid: []string{"slip"}, Disturbed: []string{"steal"}}, exitOK},
		{"saturated", false, bench.Result{Verdict: sound, Saturated: true}, exitOK},
	} {
		flags := resultFlags{allowDisturbed: c.allowDisturbed}
		got := exitOK
		if err := flags.judge([]*bench.Result{&c.result}); err != nil {
			got = explain(err).exit
		}
		if got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.name, got, c.want)
		}
	}
}
