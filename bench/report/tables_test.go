package report

import (
	"encoding/csv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/bench"
)

func columns(t *testing.T, text string) (rows []map[string]string) {
	t.Helper()
	all, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			if _, twice := row[name]; twice {
				t.Errorf("column %s is there twice", name)
			}
			row[name] = cells[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestCSVLeavesWhatIsNotKnownEmpty(t *testing.T) {
	silent := run()
	silent.Brokers, silent.Latency, silent.Load.Asked = nil, nil, 0
	silent.Invalid = []string{"one", "two, with a comma"}
	var b strings.Builder
	if err := CSV(&b, []*bench.Result{run(), silent}); err != nil {
		t.Fatal(err)
	}
	got := columns(t, b.String())
	for i, want := range []map[string]string{
		{"cell": "L1", "target": "kafka", "sound": "yes", "asked_per_second": "10000", "broker_cpu_s_per_gb": "40", "produce_p99_99_ms": "", "e2e_samples": "100000", "records_per_request": "10"},
		{"sound": "no", "invalid": "one; two, with a comma", "asked_per_second": "", "broker_cpu_s_per_gb": "", "produce_p50_ms": "", "produce_samples": "0", "produce_max_ms": ""},
	} {
		for name, value := range want {
			if diff := cmp.Diff(value, got[i][name]); diff != "" {
				t.Errorf("row %d, %s: %s", i, name, diff)
			}
		}
	}
	if got[0]["e2e_p99_99_ms"] == "" {
		t.Error("p99.99 of 100,000 samples is left out")
	}
}

func TestSeriesHasARowForEachSecond(t *testing.T) {
	var b strings.Builder
	if err := SeriesCSV(&b, []*bench.Result{run(), run()}); err != nil {
		t.Fatal(err)
	}
	got := columns(t, b.String())
	if len(got) != 20 || got[13]["second"] != "3" || got[13]["produce_p99_9_ms"] != "4" || got[13]["e2e_p99_9_ms"] != "" || got[13]["backlog"] != "3" {
		t.Errorf("%d rows, the fourteenth is %v", len(got), got[13])
	}
}

// benchstat takes lines of one name for repetitions.
func TestRatesOfASweepAreNoRepetitions(t *testing.T) {
	faster := run()
	faster.Spec.Rate = 20000
	var b strings.Builder
	if err := Benchstat(&b, []*bench.Result{run(), faster}); err != nil {
		t.Fatal(err)
	}
	contains(t, b.String(), "BenchmarkMillrace/L1@10000-1 ", "BenchmarkMillrace/L1@20000-1 ")
}

func TestBenchstatLinesAreThoseOfSoundResults(t *testing.T) {
	other, bad := run(), run()
	other.Target.Name, other.Spec.Name = "millrace", "two words/10"
	bad.Target.Name, bad.Invalid = "millrace", []string{"slip\np99"}
	var b strings.Builder
	if err := Benchstat(&b, []*bench.Result{run(), run(), other, bad}); err != nil {
		t.Fatal(err)
	}
	contains(t, b.String(),
		"Unit records/s better=higher\n", "Unit e2e-p99.9-ns better=lower\n", "Unit cpu-s/GB better=lower\n",
		"target: kafka\ndurability: os\nacks: all\nBenchmarkMillrace/L1-1 100000 100100 ns/op 9.99 MB/s 9990 records/s ",
		" 0.4 cores 40 cpu-s/GB 400000 cpu-ns/request 9e+08 rss-anon-B\nBenchmarkMillrace/L1-1 ", // the settings once
		"\ntarget: millrace\nBenchmarkMillrace/two_words_10-1 ",
		"# left out: L1: INVALID: slip p99\n")
	for line := range strings.SplitSeq(b.String(), "\n") {
		fields := strings.Fields(line)
		if !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		if len(fields)%2 != 0 {
			t.Errorf("values without their units: %s", line)
		}
		if strings.Contains(line, "produce-p99.99-ns") || !strings.Contains(line, "e2e-p99.99-ns") {
			t.Errorf("percentiles the samples do not carry: %s", line)
		}
	}
}
