package bench

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, 1)) }

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// must ends the test on an error of parsing.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A refusal names what was given, the limit, and what to do.
func TestShapesRefuseWhatTheyCannotDo(t *testing.T) {
	sizes := func(s string) error { _, err := parseSizes(s); return err }
	keys := func(s string) error { _, err := parseKeys(s); return err }
	arrivals := func(s string) error { _, err := parseArrivals(s); return err }
	for _, c := range []struct {
		parse func(string) error
		text  string
		says  string
	}{
		{sizes, "many", "want a number of bytes, lognormal:MEDIAN:SIGMA or file:PATH"},
		{sizes, "", "want a number of bytes"},
		{sizes, "35", "less than the 36 that verification puts into every value; give 36 or more"},
		{sizes, "-1", "36 or more"},
		{sizes, "99999999999", "more than the limit of 67108864"},
		{sizes, "lognormal:1000", "want lognormal:MEDIAN:SIGMA, for example"},
		{sizes, "lognormal:1000:x", "want lognormal:MEDIAN:SIGMA, for example"},
		{sizes, "lognormal:10:1", "median must be between 36 and 1000000"},
		{sizes, "lognormal:NaN:1", "median must be between 36 and 1000000"},
		{sizes, "lognormal:1000:0", "sigma must be above 0 and at most 4"},
		{sizes, "lognormal:1000:5", "sigma must be above 0 and at most 4"},
		{sizes, "lognormal:1000:NaN", "sigma must be above 0 and at most 4"},
		{sizes, "file:/nowhere/at/all", "size file: open /nowhere/at/all"},
		{sizes, "file:" + writeFile(t, "100\nx\n"), `line 2: "x" is not a number; give one a line`},
		{sizes, "file:" + writeFile(t, "100\n12\n"), "number 2: 12 bytes are less than the 36"},
		{sizes, "file:" + writeFile(t, "100.5\n"), "number 1: 100.5 is not a whole number of bytes"},
		{sizes, "file:" + writeFile(t, "NaN\n"), "NaN is not a whole number of bytes"},
		{sizes, "file:" + writeFile(t, "# nothing\n\n"), "is empty; give at least one number"},
		{sizes, "file:" + writeFile(t, strings.Repeat("1", 5000)), "line 1: a line of more than 4096 bytes; give one number a line"},
		{keys, "some", "want none, uniform:N or zipf:N:S"},
		{keys, "uniform:10:1", "want none, uniform:N or zipf:N:S"},
		{keys, "zipf:10", "want none, uniform:N or zipf:N:S"},
		{keys, "uniform:0", "between 1 and 1000000000000"},
		{keys, "uniform:10k", "between 1 and 1000000000000, without a unit"},
		{keys, "zipf:10:0", "exponent must be above 0 and at most 10; 0.99 is usual, and without skew there is uniform:10"},
		{keys, "zipf:10:NaN", "exponent must be above 0 and at most 10"},
		{arrivals, "often", "want constant, poisson, bursty:N or trace:PATH"},
		{arrivals, "constant:1", "want constant, poisson, bursty:N or trace:PATH"},
		{arrivals, "bursty", "a burst has between 1 and 1000000 records; for example bursty:100"},
		{arrivals, "bursty:0", "a burst has between 1 and 1000000 records"},
		{arrivals, "trace", "want constant, poisson, bursty:N or trace:PATH"},
		{arrivals, "trace:/nowhere/at/all", "trace file: open"},
		{arrivals, "trace:" + writeFile(t, "1\n0.5\n"), "number 2: 0.5 is not between the one before, 1, and 1000000 seconds; sort the file"},
		{arrivals, "trace:" + writeFile(t, "-1\n"), "number 1: -1 is not between the one before, 0,"},
		{arrivals, "trace:" + writeFile(t, "NaN\n"), "number 1: NaN is not between"},
		{arrivals, "trace:" + writeFile(t, "0\n0\n"), "has no length: its last number is 0 and must be above 0"},
	} {
		if err := c.parse(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v\nwant: %s", c.text, err, c.says)
		}
	}
}

func TestSizesAreOfTheirDistribution(t *testing.T) {
	const n = 200_000
	draw := func(text string) ([]int, *sizes) {
		sizes, r := must(parseSizes(text))(t), seeded(7)
		all, sum := make([]int, n), 0.0
		for i := range all {
			all[i] = sizes.Draw(r)
			sum += float64(all[i]) / n
		}
		if math.Abs(sum/sizes.Mean()-1) > 0.02 {
			t.Errorf("%s: a mean of %.1f bytes was drawn, %.1f was told", text, sum, sizes.Mean())
		}
		slices.Sort(all)
		if all[n-1] != sizes.Max() && sizes.sigma == 0 || all[n-1] > sizes.Max() {
			t.Errorf("%s: at most %d bytes were drawn, %d was told", text, all[n-1], sizes.Max())
		}
		return all, sizes
	}
	if all, _ := draw("1000"); all[0] != 1000 || all[n-1] != 1000 {
		t.Errorf("a fixed size: %d to %d", all[0], all[n-1])
	}
	// Of a lognormal distribution the median is the median, and a standard deviation up is e^sigma.
	all, _ := draw("lognormal:1000:0.5")
	for q, want := range map[float64]float64{0.1587: 1000 * math.Exp(-0.5), 0.5: 1000, 0.8413: 1000 * math.Exp(0.5), 0.9772: 1000 * math.E} {
		if got := float64(all[int(q*n)]); math.Abs(got/want-1) > 0.02 {
			t.Errorf("lognormal: quantile %v is %.0f bytes, want %.0f", q, got, want)
		}
	}
	if all, _ := draw("lognormal:50:4"); all[0] != smallestValue || all[n-1] != largestDrawn {
		t.Errorf("a wide lognormal is cut off at %d and %d", all[0], all[n-1])
	}
	all, _ = draw("file:" + writeFile(t, "# a header\n40\n 40\n\n100\n1000"))
	if forties, _ := slices.BinarySearch(all, 41); math.Abs(float64(forties)/n-0.5) > 0.01 || all[n-1] != 1000 {
		t.Errorf("a file with two of four sizes 40 gives %d of %d", forties, n)
	}
}

func TestKeysAreOfTheirDistribution(t *testing.T) {
	const n, draws = 50, 400_000
	for text, s := range map[string]float64{"uniform:50": 0, "zipf:50:0.2": 0.2, "zipf:50:0.99": 0.99, "zipf:50:1": 1, "zipf:50:1.00000001": 1, "zipf:50:1.5": 1.5, "zipf:50:4": 4} {
		keys, r := must(parseKeys(text))(t), seeded(11)
		seen := map[string]float64{}
		for range draws {
			seen[string(keys.Draw(nil, r))]++
		}
		total := 0.0
		for k := 1; k <= n; k++ {
			total += math.Pow(float64(k), -s)
		}
		squares, cells := 0.0, 0.0
		for k := 1; k <= n; k++ {
			name := "key00000000000" + string([]byte{'0' + byte((k-1)/10), '0' + byte((k-1)%10)})
			want := draws * math.Pow(float64(k), -s) / total
			got := seen[name]
			delete(seen, name)
			if want < 5 { // too few for the statistic
				continue
			}
			squares += (got - want) * (got - want) / want
			cells++
		}
		if len(seen) != 0 {
			t.Errorf("%s: keys of another form: %v", text, seen)
		}
		// Chi square has a mean of cells-1 and a deviation of sqrt(2(cells-1)); five of them are far beyond chance.
		if limit := cells - 1 + 5*math.Sqrt(2*(cells-1)); squares > limit {
			t.Errorf("%s: chi square %.1f over %.0f keys, at most %.1f is chance", text, squares, cells, limit)
		}
	}
}

func TestKeysOfOneAndOfVeryMany(t *testing.T) {
	r := seeded(3)
	for range 100 {
		if key := string(must(parseKeys("zipf:1:0.5"))(t).Draw(nil, r)); key != "key0000000000000" {
			t.Fatalf("the only key is %q", key)
		}
	}
	many := must(parseKeys("zipf:1000000000000:0.7"))(t)
	highest := ""
	for range 10_000 {
		key := string(many.Draw(nil, r))
		if len(key) != keySize || key < "key0000000000000" {
			t.Fatalf("key %q", key)
		}
		highest = max(highest, key)
	}
	if highest < "key0900000000000" {
		t.Errorf("the highest of 10,000 draws from 10^12 with little skew is %q", highest)
	}
	if keys := must(parseKeys("none"))(t); !keys.None() || keys.Draw(nil, r) != nil {
		t.Error("there are keys without keys")
	}
}

func TestSchedulesOfAllProducersMakeTheArrivals(t *testing.T) {
	const ms = time.Millisecond
	trace := writeFile(t, "0\n0.001\n0.001\n0.010\n")
	for _, c := range []struct {
		arrivals  string
		rate      float64
		producers int
		batch     int
		want      [][]time.Duration // of each producer
	}{
		{"constant", 1000, 1, 1, [][]time.Duration{{0, ms, 2 * ms, 3 * ms}}},
		{"constant", 1000, 2, 1, [][]time.Duration{{0, 2 * ms, 4 * ms}, {ms, 3 * ms, 5 * ms}}},
		{"constant", 1000, 2, 10, [][]time.Duration{{0, 20 * ms}, {10 * ms, 30 * ms}}},
		{"bursty:4", 1000, 2, 1, [][]time.Duration{{0, 0, 4 * ms, 4 * ms, 8 * ms}, {0, 0, 4 * ms, 4 * ms, 8 * ms}}},
		{"bursty:4", 1000, 1, 2, [][]time.Duration{{0, 0, 4 * ms, 4 * ms}}},
		{"bursty:1", 1000, 1, 2, [][]time.Duration{{0, 2 * ms, 4 * ms}}},
		{"trace:" + trace, 400, 1, 1, [][]time.Duration{{0, ms, ms, 10 * ms, 10 * ms, 11 * ms, 11 * ms, 20 * ms}}},
		{"trace:" + trace, 200, 2, 1, [][]time.Duration{{0, 2 * ms, 20 * ms, 22 * ms}, {2 * ms, 20 * ms, 22 * ms, 40 * ms}}},
	} {
		arrivals := must(parseArrivals(c.arrivals))(t)
		for p, want := range c.want {
			s := arrivals.Schedule(c.rate, p, c.producers, c.batch, seeded(1))
			for i, due := range want {
				if got := s.Next(); (got - due).Abs() > time.Microsecond {
					t.Errorf("%s, %v/s, producer %d of %d, batches of %d: number %d is due after %v, want %v", c.arrivals, c.rate, p, c.producers, c.batch, i, got, due)
				}
			}
		}
	}
	if r := must(parseArrivals("trace:" + trace))(t).Rate(); r != 400 {
		t.Errorf("4 records in 10 ms are %v a second", r)
	}
}

// Gaps of a poisson process are exponential: their mean is their deviation, and e^-1 of them are longer than it.
func TestPoissonArrivals(t *testing.T) {
	const n = 200_000
	s := must(parseArrivals("poisson"))(t).Schedule(2000, 0, 2, 1, seeded(5)) // one of two producers: 1,000 a second
	last, sum, squares, longer := time.Duration(0), 0.0, 0.0, 0
	for range n {
		at := s.Next()
		gap := (at - last).Seconds()
		if last = at; gap > 0.001 {
			longer++
		}
		sum += gap / n
		squares += gap * gap / n
	}
	if math.Abs(sum/0.001-1) > 0.01 || math.Abs(math.Sqrt(squares-sum*sum)/0.001-1) > 0.02 || math.Abs(float64(longer)/n-math.Exp(-1)) > 0.005 {
		t.Errorf("gaps: mean %v s, deviation %v s, %v longer than a millisecond", sum, math.Sqrt(squares-sum*sum), float64(longer)/n)
	}
}

func TestShapesComeFromTheirSeedAndAllocateNothing(t *testing.T) {
	trace := writeFile(t, "0.5\n1")
	type shapes struct {
		sizes     []*sizes
		keys      []*keys
		schedules []*schedule
		values    *values
		r         *rand.Rand
		buf       [200]byte
	}
	make1 := func(seed uint64) *shapes {
		s := &shapes{r: seeded(seed), values: newValues(0.5, rand.NewPCG(seed, 2))}
		for _, text := range []string{"100", "lognormal:100:1", "file:" + writeFile(t, "40\n50\n60")} {
			s.sizes = append(s.sizes, must(parseSizes(text))(t))
		}
		for _, text := range []string{"none", "uniform:100", "zipf:100:0.8"} {
			s.keys = append(s.keys, must(parseKeys(text))(t))
		}
		for _, text := range []string{"constant", "poisson", "bursty:10", "trace:" + trace} {
			s.schedules = append(s.schedules, must(parseArrivals(text))(t).Schedule(1000, 0, 1, 1, s.r))
		}
		return s
	}
	draw := func(s *shapes) (sum uint64) {
		mix := func(x uint64) { sum = (sum ^ x) * 0x9e3779b97f4a7c15 }
		for _, d := range s.sizes {
			mix(uint64(d.Draw(s.r)))
		}
		for _, d := range s.keys {
			for _, b := range d.Draw(s.buf[:0], s.r) {
				mix(uint64(b))
			}
		}
		for _, d := range s.schedules {
			mix(uint64(d.Next()))
		}
		s.values.Fill(s.buf[:])
		for _, b := range s.buf {
			mix(uint64(b))
		}
		return sum
	}
	a, b, other := make1(1), make1(1), make1(2)
	for i := range 100 {
		if x, y, z := draw(a), draw(b), draw(other); x != y || x == z {
			t.Fatalf("draw %d: %x and %x of one seed, %x of another", i, x, y, z)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { draw(a) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
