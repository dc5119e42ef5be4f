package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/wire"
)

// What a proxy does to one request of Produce must be found by the run it happens to, and make it fail.
func TestBenchFindsWhatAProxyDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("twelve runs of 2 s and more")
	}
	for _, c := range []struct {
		name  string
		fault fault
		found func(v bench.Verdict) bool
	}{
		{"nothing", nil, nil},
		{"a batch acknowledged and never written", func(*wire.ProduceRequest) fate { return swallowed },
			func(v bench.Verdict) bool { return v.Lost > 0 && v.Duplicated+v.Reordered+v.Corrupted == 0 }},
		{"a batch written twice", func(*wire.ProduceRequest) fate { return repeated },
			func(v bench.Verdict) bool { return v.Duplicated > 0 && v.Lost+v.Corrupted == 0 }},
		{"two records exchanged", exchange,
			func(v bench.Verdict) bool { return v.Reordered > 0 && v.Lost+v.Duplicated+v.Corrupted == 0 }},
		{"two keys exchanged", mislabel,
			func(v bench.Verdict) bool { return v.Corrupted == 2 && v.Lost+v.Duplicated+v.Reordered == 0 }},
		{"one byte of a body changed", damage,
			func(v bench.Verdict) bool { return v.Corrupted == 1 && v.Lost+v.Duplicated+v.Reordered == 0 }},
	} {
		for _, mode := range []string{"raw", "kgo"} {
			t.Run(mode+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				m := newMeddler(t, c.fault)
				b := start(t, t.TempDir(), 0, fmt.Sprintf("advertised.listeners=PLAINTEXT://127.0.0.1:%d", m.port))
				m.broker = b.addr
				result, code, said := generate(t, exec.Command(millrace, "bench", "run", "-b", fmt.Sprintf("127.0.0.1:%d", m.port), "--mode", mode,
					"--rate", "2k/s", "--arrivals", "bursty:10", "--warmup", "0s", "--duration", "2s", "--size", "200", "--keys", "uniform:100",
					"--batch-records", "10", "--linger", "1ms", "-o", "json"), begin)
				t.Log(result.Verdict)
				if c.fault == nil {
					if !result.Verdict.Intact() || code != 0 && code != exitUnsound {
						t.Errorf("through a proxy that does nothing: exit code %d, %v\n%s", code, result.Verdict, said)
					}
					return
				}
				if !m.meddled() {
					t.Fatalf("the fault found no request among %d", m.produced.Load())
				}
				if code != exitUnverified || result.Sound() || !c.found(result.Verdict) {
					t.Errorf("exit code %d, the verdict is %v %v\n%s", code, result.Verdict, result.Verdict.Examples, said)
				}
			})
		}
	}
}

// exchange has the first record and the last one of a batch change places.
func exchange(req *wire.ProduceRequest) fate {
	b, ok := batchOf(req, 2)
	if !ok {
		return unfit
	}
	records := recordsOf(b)
	first, last := records[0], records[len(records)-1]
	if !trade(first.Key, last.Key) || !trade(first.Value, last.Value) {
		return unfit
	}
	sum(b)
	return passed
}

// mislabel gives two records each other's keys.
func mislabel(req *wire.ProduceRequest) fate {
	b, ok := batchOf(req, 2)
	if !ok {
		return unfit
	}
	records := recordsOf(b)
	for _, other := range records[1:] {
		if !bytes.Equal(records[0].Key, other.Key) && trade(records[0].Key, other.Key) {
			sum(b)
			return passed
		}
	}
	return unfit
}

func trade(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		a[i], b[i] = b[i], a[i]
	}
	return true
}

// damage changes a byte far from what verification puts in front.
func damage(req *wire.ProduceRequest) fate {
	b, ok := batchOf(req, 1)
	if !ok {
		return unfit
	}
	value := recordsOf(b)[0].Value
	value[len(value)-1] ^= 0x20
	sum(b)
	return passed
}
