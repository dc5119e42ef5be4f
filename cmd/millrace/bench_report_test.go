package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchReportShowsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	canned := filepath.Join("..", "..", "bench", "report", "testdata")
	page, charts, series := filepath.Join(dir, "report.html"), filepath.Join(dir, "charts"), filepath.Join(dir, "series.csv")
	out, stderr, exit := millrace(t, "bench", "report", canned, "--html", page, "--svg", charts, "--series", series)
	if exit != exitOK {
		t.Fatalf("exit code %d\n%s", exit, stderr)
	}
	for _, want := range []string{"millrace uses 8.4x less CPU per GB", "millrace holds e2e.p50=60ms up to 48000 records/s", "L1, kafka: 2,000 records/s asked", "SATURATED"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%.3000s", want, out)
		}
	}
	for path, want := range map[string]string{page: "<h1>kafka and millrace, 3 workloads</h1>", filepath.Join(charts, "L1-e2e.svg"): "prefers-color-scheme", series: "hiccup_max_ms"} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, or %q is not in it", path, err, want)
		}
	}
	if _, stderr, exit := millrace(t, "bench", "report", dir); exit != exitFailed || !strings.Contains(stderr, "bench run --json") {
		t.Errorf("a directory without results: exit code %d\n%s", exit, stderr)
	}
	if _, stderr, exit := millrace(t, "bench", "report", canned, "--series", filepath.Join(dir, "none", "s.csv")); exit != exitUsage || !strings.Contains(stderr, "no directory") {
		t.Errorf("a file in no directory: exit code %d\n%s", exit, stderr)
	}
}
