package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/millrace/millrace/bench"
)

// Benchstat writes results as Go's benchmarks print theirs, a line each, so that benchstat, which knows statistics, compares them:
// `benchstat old.txt new.txt` two builds, `benchstat -col target all.txt` two targets. Durability and acks are settings of the file:
// benchstat puts what differs there into tables of their own. Latencies are in nanoseconds, which it scales. A percentile that the
// samples do not carry is left out; so is a result that is not sound, and a comment says why.
func Benchstat(w io.Writer, results []*bench.Result) error {
	var lines strings.Builder
	var units []unit
	settings := map[string]string{}
	rates := map[string]map[float64]bool{}
	for _, r := range results {
		cell, _ := name(r)
		if rates[cell] == nil {
			rates[cell] = map[float64]bool{}
		}
		rates[cell][r.Spec.Rate] = true
	}
	for _, r := range results {
		cell, target := name(r)
		if len(rates[cell]) > 1 { // of a sweep: runs at different rates are not repetitions
			cell += fmt.Sprintf("@%.0f", r.Spec.Rate)
		}
		mode, _, _ := strings.Cut(r.Target.Durability, " ") // how a broker comes by it stands behind
		for _, c := range [][2]string{{"target", target}, {"durability", mode}, {"acks", r.Spec.Acks}} {
			if value := oneLine(c[1]); settings[c[0]] != value {
				fmt.Fprintf(&lines, "%s: %s\n", c[0], value)
				settings[c[0]] = value
			}
		}
		if why := unsound(r); why != "" {
			fmt.Fprintf(&lines, "# left out: %s: %s\n", cell, oneLine(why))
			continue
		}
		fmt.Fprintf(&lines, "BenchmarkMillrace/%s-%d %d", benchmarkName(cell), processors(r), max(1, r.Load.Records))
		for _, v := range values(r) {
			fmt.Fprintf(&lines, " %s %s", strconv.FormatFloat(v.value, 'g', 6, 64), v.name)
			units = put(units, v.unit)
		}
		lines.WriteByte('\n')
	}
	var head strings.Builder
	for _, u := range units {
		if u.better != "" {
			fmt.Fprintf(&head, "Unit %s better=%s\n", u.name, u.better)
		}
	}
	_, err := io.WriteString(w, head.String()+lines.String())
	return err
}

// unit is what benchstat is told about a column. It knows ns/op and MB/s by itself.
type unit struct{ name, better string }

type value struct {
	unit
	value float64
}

func put(all []unit, u unit) []unit {
	for _, is := range all {
		if is == u {
			return all
		}
	}
	return append(all, u)
}

func values(r *bench.Result) (all []value) {
	add := func(v float64, known bool, name, better string) {
		if known {
			all = append(all, value{unit{name, better}, v})
		}
	}
	perSecond := per(1e9, r.Load.Achieved)
	add(perSecond.value, perSecond.known, "ns/op", "")
	add(r.Load.MegabytesASecond, true, "MB/s", "")
	add(r.Load.Achieved, true, "records/s", "higher")
	for _, w := range rows(r) {
		if r.Saturated { // its latencies are the length of a queue
			break
		}
		if w.key != bench.LatencyProduce && w.key != bench.LatencyEndToEnd {
			continue
		}
		for _, p := range percentiles {
			add(p.at(w.of)*1e6, p.carried(w.of.Count), w.key+"-"+p.name+"-ns", "lower")
		}
		add(w.of.Max*1e6, true, w.key+"-max-ns", "lower")
	}
	u := usage(r)
	for _, f := range []struct {
		figure
		name string
	}{{u.cores, "cores"}, {u.perGigabyte, "cpu-s/GB"}, {figure{1000 * u.perRequest.value, u.perRequest.known}, "cpu-ns/" + u.unit}, {u.anon, "rss-anon-B"}} {
		add(f.value, f.known, f.name, "lower")
	}
	return all
}

// unsound says why a result must not be quoted.
func unsound(r *bench.Result) string {
	var why []string
	if !r.Verdict.Intact() {
		why = append(why, "verification failed: "+r.Verdict.String())
	}
	if r.Errors > 0 {
		why = append(why, counted(r.Errors, "error")+" of requests: "+strings.Join(r.Verdict.Examples, ", "))
	}
	if len(r.Invalid) > 0 {
		why = append(why, "INVALID: "+strings.Join(r.Invalid, ", "))
	}
	if len(r.Disturbed) > 0 {
		why = append(why, "DISTURBED: "+strings.Join(r.Disturbed, ", "))
	}
	return strings.Join(why, "; ")
}

// benchmarkName keeps what may stand in a benchmark's name.
func benchmarkName(cell string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, cell)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
