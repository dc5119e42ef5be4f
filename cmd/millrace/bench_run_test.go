package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/bench"
)

// countsOrSaysWhy checks an exit code that depends on how quiet the machine is: 0, or 4 with a reason in the result.
func countsOrSaysWhy(t *testing.T, exit int, stderr string, results ...*bench.Result) {
	t.Helper()
	invalid := false
	for _, r := range results {
		invalid = invalid || len(r.Invalid) > 0 && len(r.Disturbed) == 0
	}
	if want := map[bool]int{false: exitOK, true: exitUnsound}[invalid]; exit != want {
		t.Errorf("exit code %d, want %d\n%s", exit, want, stderr)
	}
}

func TestBenchRunOnABrokerOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file := filepath.Join(t.TempDir(), "result.json")
	out, stderr, exit := millrace(t, "bench", "run", "--name", "thin", "--rate", "500", "--duration", "1s", "--warmup", "200ms", "--size", "100", "-c", "retention.ms=3600000",
		"--durability", "os", "-o", "json", "--json", file, "--allow-disturbed", "--live", "plain")
	var r, again bench.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	countsOrSaysWhy(t, exit, stderr, &r)
	if r.Schema != bench.ResultSchema || !r.Verdict.Intact() || r.Load.Attempted != 600 || r.Load.Consumed != 600 || r.Latency[bench.LatencyEndToEnd].Count != 500 {
		t.Errorf("schema %s, %v, %+v", r.Schema, r.Verdict, r.Load)
	}
	if r.Spec.Name != "thin" || r.Spec.TopicConfigs["retention.ms"] != "3600000" || !strings.HasPrefix(r.Target.Durability, "os") || len(r.Target.Pids) != 1 {
		t.Errorf("%+v\n%+v", r.Spec, r.Target)
	}
	if line := strings.Join(r.Command, " "); !strings.HasPrefix(line, "millrace bench run ") || !strings.Contains(line, " --rate=500 ") || !strings.Contains(line, " --config=retention.ms=3600000") {
		t.Errorf("the command is %s", line)
	}
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &again) != nil || again.Load != r.Load {
		t.Errorf("the file has another result (%v)", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("it leaves %v behind", left)
	}
}

// Against a broker that runs, its process is found and its topics are as they were.
func TestBenchRunOnARunningBroker(t *testing.T) {
	before, _, _ := millrace(t, "topic", "list", "-b", kafka, "-o", "name")
	out, stderr, exit := millrace(t, "bench", "run", "-b", kafka, "--duration", "500ms", "--warmup", "100ms", "-P", "2", "-p", "2", "--batch-records", "8", "--consume", "after",
		"-o", "json", "--allow-disturbed", "--live", "off")
	var r bench.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	countsOrSaysWhy(t, exit, stderr, &r)
	if !r.Verdict.Intact() || r.Load.Records == 0 || len(r.Target.Pids) != 1 {
		t.Errorf("%v, %+v, %+v", r.Verdict, r.Load, r.Target)
	}
	if exit == exitOK && stderr != "" {
		t.Errorf("with --live=off it says\n%s", stderr)
	}
	if after, _, _ := millrace(t, "topic", "list", "-b", kafka, "-o", "name"); after != before {
		t.Errorf("topics before\n%safter\n%s", before, after)
	}
}
