package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func curve() Curve {
	line := CurveLine{Name: `a<b>&"c"`, Carried: 3, Marks: []CurvePoint{{2, 5}}}
	for i := range 41 {
		line.Points = append(line.Points, CurvePoint{float64(i) / 10, 0.2 * math.Pow(3, float64(i)/10)})
	}
	line.Members = [][]CurvePoint{line.Points[:20]}
	return Curve{Lines: []CurveLine{line}, Limit: 10}
}

func timeline(runs ...int) Timeline {
	f := Timeline{Runs: runs, Heat: &Heat{Name: "latency", Bounds: []float64{0.1, 1, 10, 100}}}
	load := TrackLine{Name: "asked", Class: "asked", Area: true}
	for _, n := range runs {
		var counts [][]int64
		var values []float64
		for range n {
			counts, values = append(counts, []int64{0, 1000, 20, 1, 0}), append(values, 7)
		}
		f.Heat.Counts, load.Values = append(f.Heat.Counts, counts), append(load.Values, values)
	}
	f.Tracks = []Track{{Name: "records", Label: Count, Lines: []TrackLine{load}}}
	return f
}

var all = map[string]Chart{
	"curve": curve(), "empty curve": Curve{}, "timeline": timeline(30, 10), "no time": timeline(),
	"bars":   Bars{[]BarFigure{{"CPU", Count, []Bar{{Name: "x", Value: 3, Low: 2, High: 4, Parts: []BarPart{{"io", 1}}}, {Name: strings.Repeat("long", 40)}}}}},
	"forest": Forest{[]ForestRow{{"cpu", 0.2, 0.1, 0.4, "good", "less"}, {"rss", 1, 0.0, math.Inf(1), "open", "no verdict"}}, "less", "more"},
	"knee":   Knee{[]KneeLine{{"x", 0, []KneePoint{{1000, 1, true, ""}, {2000, 40, false, ""}}, 1000}}, 10, "p99.9"},
}

// elements reads a drawing as XML does, and returns how many of each element there are.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, is := token.(xml.StartElement); is {
			found[e.Name.Local]++
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s of %s is %q", a.Name.Local, e.Name.Local, a.Value)
				}
			}
		}
	}
}

var places = regexp.MustCompile(`(?:x|x1|cx)="(-?[0-9.]+)"`)

func TestDrawingsAreSoundAndWithinTheirWidth(t *testing.T) {
	for name, c := range all {
		for _, width := range []int{340, 620, 1240} {
			for _, svg := range []string{Inline(c, width, `what "it" is`), File(c, width, name, "<subtitle> & more")} {
				if n := elements(t, svg); n["svg"] != 1 {
					t.Errorf("%s has %v", name, n)
				}
				for _, m := range places.FindAllStringSubmatch(svg, -1) {
					if x, err := strconv.ParseFloat(m[1], 64); err != nil || x < -1 || x > float64(width)+1 {
						t.Errorf("%s of width %d draws at x=%s", name, width, m[1])
					}
				}
			}
		}
	}
}

func TestNinesAreEquallyFarApart(t *testing.T) {
	s := nines(4, 0, 400)
	var at []float64
	for _, q := range []float64{0.9, 0.99, 0.999, 0.9999} {
		at = append(at, math.Round(s.at(q)))
	}
	if diff := cmp.Diff([]float64{100, 200, 300, 400}, at); diff != "" {
		t.Error(diff)
	}
}

func TestAxesEndAtRoundNumbers(t *testing.T) {
	labels := func(s *scale) (all []string) {
		for _, t := range s.ticks {
			if t.label != "" {
				all = append(all, t.label)
			}
		}
		return all
	}
	for _, c := range []struct {
		s    *scale
		want []string
	}{
		{linear(9_990, 0, 100, 4, Count), []string{"0", "2.5k", "5k", "7.5k", "10k"}},
		{linear(0, 0, 100, 2, Count), []string{"0", "0.5", "1"}},
		{logarithmic(0.3, 34.6, 0, 100, Millis), []string{"1 ms", "10 ms"}},
		{logarithmic(0.3, 0.7, 0, 300, Millis), []string{"200 µs", "500 µs", "1 ms"}},
		{logarithmic(0, 0, 0, 300, Millis), []string{"1 µs", "2 µs", "5 µs", "10 µs"}},
	} {
		if diff := cmp.Diff(c.want, labels(c.s)); diff != "" {
			t.Error(diff)
		}
	}
}

// What too few samples carry must not look like the rest.
func TestTheTailThatTooFewSamplesCarryIsDotted(t *testing.T) {
	svg := Inline(curve(), 620, "")
	if strings.Count(svg, `class="tail s0"`) != 1 || strings.Count(svg, `class="curve s0" d="M52`) != 1 {
		t.Error("a curve beyond what is carried is drawn like the rest")
	}
	whole := curve()
	whole.Lines[0].Carried = 5
	if svg := Inline(whole, 620, ""); strings.Contains(svg, "tail") || strings.Contains(svg, "too few samples") {
		t.Error("a curve that is carried to its end has a dotted one")
	}
}

func TestAColumnIsNeverOfTwoRuns(t *testing.T) {
	f := timeline(100, 101)
	var seconds [2]int
	for _, s := range f.spans(0, 100, 201) {
		if s.to > f.Runs[s.run] {
			t.Errorf("run %d has no second %d", s.run, s.to-1)
		}
		if s.width < 0.4 || s.to-s.from > 7 {
			t.Errorf("%d seconds on %.1f pixels", s.to-s.from, s.width)
		}
		seconds[s.run] += s.to - s.from
	}
	if seconds != [2]int{100, 101} {
		t.Errorf("%v seconds are drawn", seconds)
	}
}

func TestOneRecordAmongThousandsIsSeen(t *testing.T) {
	for _, c := range []struct {
		n, most float64
		want    int
	}{{1, 100000, 0}, {100000, 100000, 7}, {300, 100000, 3}, {1, 1, 7}} {
		if got := shade(c.n, c.most); got != c.want {
			t.Errorf("shade of %.0f among %.0f is %d, want %d", c.n, c.most, got, c.want)
		}
	}
	if n := strings.Count(Inline(timeline(5), 620, ""), `class="h0"`); n != 2 { // the key and the slowest records
		t.Errorf("the lightest shade is there %d times", n)
	}
}

func TestPeaksOutliveSecondsThatShareAColumn(t *testing.T) {
	l := TrackLine{Peak: true, Values: [][]float64{{1, 9, math.NaN()}}}
	s := span{to: 3}
	if got := l.value(s); got != 9 {
		t.Errorf("peak %v, want 9", got)
	}
	l.Peak = false
	if got := l.value(s); got != 5 {
		t.Errorf("mean %v, want 5", got)
	}
}
