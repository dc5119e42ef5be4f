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

	"github.com/cespare/xxhash/v2"
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
	sizes := func(s string) error { _, err := newSizes(Spec{Size: s}, seeded(1)); return err }
	keys := func(s string) error { _, err := newKeys(Spec{Keys: s}, seeded(1)); return err }
	arrivals := func(s string) error { _, err := newArrivals(Spec{Arrivals: s, Producers: 1}, 0, 1, 1); return err }
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
	draw := func(text string) []int {
		draw := must(newSizes(Spec{Size: text}, seeded(7)))(t)
		all, sum := make([]int, n), 0.0
		for i := range all {
			all[i] = draw()
			sum += float64(all[i]) / n
		}
		slices.Sort(all)
		if told := must(parseSizes(text))(t); math.Abs(sum/told.mean-1) > 0.02 || all[n-1] > told.largest {
			t.Errorf("%s: a mean of %.1f bytes was drawn and %d at most, %.1f and %d were told", text, sum, all[n-1], told.mean, told.largest)
		}
		return all
	}
	if all := draw("1000"); all[0] != 1000 || all[n-1] != 1000 {
		t.Errorf("a fixed size: %d to %d", all[0], all[n-1])
	}
	// Of a lognormal distribution the median is the median, and a standard deviation up is e^sigma.
	all := draw("lognormal:1000:0.5")
	for q, want := range map[float64]float64{0.1587: 1000 * math.Exp(-0.5), 0.5: 1000, 0.8413: 1000 * math.Exp(0.5), 0.9772: 1000 * math.E} {
		if got := float64(all[int(q*n)]); math.Abs(got/want-1) > 0.02 {
			t.Errorf("lognormal: quantile %v is %.0f bytes, want %.0f", q, got, want)
		}
	}
	if all := draw("lognormal:50:4"); all[0] != smallestValue || all[n-1] != largestDrawn {
		t.Errorf("a wide lognormal is cut off at %d and %d", all[0], all[n-1])
	}
	all = draw("file:" + writeFile(t, "# a header\n40\n 40\n\n100\n1000"))
	if forties, _ := slices.BinarySearch(all, 41); math.Abs(float64(forties)/n-0.5) > 0.01 || all[n-1] != 1000 {
		t.Errorf("a file with two of four sizes 40 gives %d of %d", forties, n)
	}
}

func TestKeysAreOfTheirDistribution(t *testing.T) {
	const n, draws = 50, 400_000
	for text, s := range map[string]float64{"uniform:50": 0, "zipf:50:0.2": 0.2, "zipf:50:0.99": 0.99, "zipf:50:1": 1, "zipf:50:1.00000001": 1, "zipf:50:1.5": 1.5, "zipf:50:4": 4} {
		draw := must(newKeys(Spec{Keys: text}, seeded(11)))(t)
		seen := map[uint64]float64{}
		for range draws {
			seen[draw()]++
		}
		total := 0.0
		for k := 1; k <= n; k++ {
			total += math.Pow(float64(k), -s)
		}
		squares, cells := 0.0, 0.0
		for k := 1; k <= n; k++ {
			want := draws * math.Pow(float64(k), -s) / total
			got := seen[uint64(k-1)]
			delete(seen, uint64(k-1))
			if want < 5 { // too few for the statistic
				continue
			}
			squares += (got - want) * (got - want) / want
			cells++
		}
		if len(seen) != 0 {
			t.Errorf("%s: keys beyond the last: %v", text, seen)
		}
		// Chi square has a mean of cells-1 and a deviation of sqrt(2(cells-1)); five of them are far beyond chance.
		if limit := cells - 1 + 5*math.Sqrt(2*(cells-1)); squares > limit {
			t.Errorf("%s: chi square %.1f over %.0f keys, at most %.1f is chance", text, squares, cells, limit)
		}
	}
}

func TestKeysOfOneAndOfVeryMany(t *testing.T) {
	one := must(newKeys(Spec{Keys: "zipf:1:0.5"}, seeded(3)))(t)
	for range 100 {
		if k := one(); k != 0 {
			t.Fatalf("the only key is number %d", k)
		}
	}
	const n = 1_000_000_000_000
	many := must(newKeys(Spec{Keys: "zipf:1000000000000:0.7"}, seeded(3)))(t)
	highest := uint64(0)
	for range 10_000 {
		highest = max(highest, many())
	}
	if highest >= n || highest < n/10*9 {
		t.Errorf("the highest of 10,000 draws from 10^12 with little skew is %d", highest)
	}
	if none, err := newKeys(Spec{Keys: "none"}, seeded(3)); none != nil || err != nil {
		t.Errorf("there are keys without keys: %v", err)
	}
	for number, want := range map[uint64]string{0: "0000000000000000", 0x0123456789abcdef: "0123456789abcdef"} {
		if key := string(appendKey(nil, number)); key != want || len(key) != keySize {
			t.Errorf("key %d is %q, want %q", number, key, want)
		}
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
		for p, want := range c.want {
			perSecond := c.rate / float64(c.producers*c.batch)
			next := must(newArrivals(Spec{Arrivals: c.arrivals, Producers: c.producers, Seed: 1}, p, perSecond, c.batch))(t)
			for i, due := range want {
				if got := next(); (got - due).Abs() > time.Microsecond {
					t.Errorf("%s, %v/s, producer %d of %d, batches of %d: number %d is due after %v, want %v", c.arrivals, c.rate, p, c.producers, c.batch, i, got, due)
				}
			}
		}
	}
}

// Gaps of a poisson process are exponential: their mean is their deviation, and e^-1 of them are longer than it.
func TestPoissonArrivals(t *testing.T) {
	const n = 200_000
	next := must(newArrivals(Spec{Arrivals: "poisson", Producers: 2, Seed: 5}, 1, 1000, 1))(t)
	last, sum, squares, longer := time.Duration(0), 0.0, 0.0, 0
	for range n {
		at := next()
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
	// shapes draws once from everything there is and returns a digest.
	shapes := func(seed uint64) func() uint64 {
		random := seeded(seed)
		var all []func() uint64
		for _, text := range []string{"100", "lognormal:100:1", "file:" + writeFile(t, "40\n50\n60")} {
			draw := must(newSizes(Spec{Size: text}, random))(t)
			all = append(all, func() uint64 { return uint64(draw()) })
		}
		for _, text := range []string{"uniform:100", "zipf:100:0.8"} {
			all = append(all, must(newKeys(Spec{Keys: text}, random))(t))
		}
		for _, text := range []string{"constant", "poisson", "bursty:10", "trace:" + trace} {
			next := must(newArrivals(Spec{Arrivals: text, Producers: 1, Seed: seed}, 0, 1000, 1))(t)
			all = append(all, func() uint64 { return uint64(next()) })
		}
		body, key := make([]byte, 200), make([]byte, 0, keySize)
		all = append(all, func() uint64 {
			fillValue(body, 0.5, random)
			return xxhash.Sum64(body) ^ xxhash.Sum64(appendKey(key, random.Uint64()))
		})
		return func() (sum uint64) {
			for _, draw := range all {
				sum = (sum ^ draw()) * 0x9e3779b97f4a7c15
			}
			return sum
		}
	}
	a, b, other := shapes(1), shapes(1), shapes(2)
	for i := range 100 {
		if x, y, z := a(), b(), other(); x != y || x == z {
			t.Fatalf("draw %d: %x and %x of one seed, %x of another", i, x, y, z)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { a() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
