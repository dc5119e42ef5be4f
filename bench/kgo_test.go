package bench

import "testing"

// What all clients may hold is bounded, however many there are, and one can always hold a few.
func TestKgoWindowIsBounded(t *testing.T) {
	for _, c := range []struct {
		spec       Spec
		mean, want int
	}{
		{Spec{Rate: 1, Producers: 1}, 1000, 32 << 20 / 1000},
		{Spec{Rate: 1, Producers: 1}, 50, 100_000},
		{Spec{Rate: 1, Producers: 200}, 1000, 256 << 20 / 200 / 1000},
		{Spec{Rate: 1, Producers: 200}, 50, 5_000},
		{Spec{Rate: 1, Producers: 100_000}, 1_000_000, kgoFewestRecords},
		{Spec{Producers: 1, BatchRecords: 10, InFlight: 5, Partitions: 3}, 100, 180},
	} {
		if got := kgoWindow(c.spec, c.mean); got != c.want {
			t.Errorf("%+v, records of %d bytes: %d, want %d", c.spec, c.mean, got, c.want)
		}
	}
}

// Records of one size make batches of as many as asked for: that many fit, with all that a batch and its records add, and one more
// does not.
func TestKgoBatchBytes(t *testing.T) {
	for _, c := range []struct {
		size, keys string
		records    int
		least      int32 // that must fit
		most       int32 // that must not
	}{
		{"1000", "none", 1, 65 + 1009, 65 + 2*1009},
		{"1000", "none", 100, 65 + 100*1010, 65 + 101*1009},
		{"1000", "uniform:10", 16, 65 + 16*1026, 65 + 17*1025},
		{"100000", "none", 5, 65 + 5*100_012, 65 + 6*100_010},
		{"36", "none", 1, kgoSmallestBatch, kgoSmallestBatch + 1},
		{"lognormal:1000:1", "none", 1, largestDrawn + 12, largestDrawn + 1000},
	} {
		w, err := newWorkload(Spec{Size: c.size, Keys: c.keys, Arrivals: "constant"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		p := &kgoProducer{run: &run{spec: Spec{BatchRecords: c.records}}, draw: w}
		if n := p.batchBytes(); n < c.least || n >= c.most {
			t.Errorf("%d records of %s bytes, keys %s: %d, want %d to less than %d", c.records, c.size, c.keys, n, c.least, c.most)
		}
	}
}
