package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// someRecords builds a batch with keys, tombstones and headers, and returns its records.
func someRecords(t *testing.T, r *rand.Rand, o BuildOptions) (Batch, []Record) {
	t.Helper()
	var w Builder
	w.Reset(o)
	for i := range 1 + r.IntN(12) {
		key, value := []byte(fmt.Sprint("key-", r.IntN(5))), bytes.Repeat([]byte{byte(i)}, r.IntN(200))
		if r.IntN(4) == 0 {
			value = nil
		}
		var headers []Header
		if r.IntN(3) == 0 {
			headers = []Header{{"h", []byte("v")}, {"null", nil}}
		}
		w.Add(1000+r.Int64N(500), key, value, headers...)
	}
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b, recordsOf(t, b)
}

// What stays of a batch is what was to stay, with everything else of the header as it was, whatever the codec.
func TestRetainKeepsTheRest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var rt Retainer
	for round := range 400 {
		o := BuildOptions{Codec: Codec(round % 5), BaseOffset: 100 + r.Int64N(1000), LeaderEpoch: 7}
		if r.IntN(2) == 0 {
			o.Idempotent, o.ProducerID, o.ProducerEpoch, o.BaseSequence = true, 42, 3, r.Int32N(1000)
			o.Transactional = r.IntN(2) == 0
		}
		if r.IntN(3) == 0 {
			o.LogAppendTime = 5000
		}
		b, all := someRecords(t, r, o)
		for pass := range 2 { // the second time over what the first has left
			keep := map[int64]bool{}
			var want []Record
			tombstone := false
			for _, rec := range all {
				if r.IntN(3) > 0 {
					keep[rec.Offset] = true
					want = append(want, rec)
					tombstone = tombstone || rec.Value == nil
				}
			}
			was := b.DeleteHorizonMs()
			out, n, err := rt.Retain([]byte("before"), b, RetainOptions{Horizon: 9999, KeepEmpty: true}, func(offset int64, key []byte, hasValue bool) bool {
				i := slices.IndexFunc(all, func(rec Record) bool { return rec.Offset == offset })
				if i < 0 || !bytes.Equal(all[i].Key, key) || hasValue != (all[i].Value != nil) {
					t.Fatalf("asked for offset %d, key %q, value %v: not in the batch", offset, key, hasValue)
				}
				return keep[offset]
			})
			if err != nil || n.Read != len(all) || n.Kept != len(want) || !bytes.HasPrefix(out, []byte("before")) {
				t.Fatalf("%+v of %d and %d, %v", n, len(all), len(want), err)
			}
			c := Batch(out[len("before"):])
			got := recordsOf(t, c)
			if len(got) != len(want) {
				t.Fatalf("%d records, want %d", len(got), len(want))
			}
			for i := range got {
				if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
					t.Fatalf("record %v, want %v", got[i], want[i])
				}
			}
			if c.BaseOffset() != b.BaseOffset() || c.LastOffset() != b.LastOffset() || c.ProducerID() != b.ProducerID() || c.ProducerEpoch() != b.ProducerEpoch() ||
				c.BaseSequence() != b.BaseSequence() || c.LastSequence() != b.LastSequence() || c.LeaderEpoch() != b.LeaderEpoch() ||
				c.Transactional() != b.Transactional() || c.LogAppendTime() != b.LogAppendTime() || int(c.Count()) != len(want) {
				t.Fatalf("header changed: %x was %x", c[:HeaderSize], b[:HeaderSize])
			}
			horizon := was
			if tombstone && was == NoHorizon {
				horizon = 9999
			}
			if len(want) == 0 {
				horizon = NoHorizon
			} else if c.Codec() != b.Codec() {
				t.Fatalf("codec %v was %v", c.Codec(), b.Codec())
			}
			if c.DeleteHorizonMs() != horizon {
				t.Fatalf("delete horizon %d, want %d", c.DeleteHorizonMs(), horizon)
			}
			largest := NoTimestamp
			for _, rec := range want {
				largest = max(largest, rec.Timestamp)
			}
			if len(want) > 0 && c.MaxTimestamp() != largest {
				t.Fatalf("largest timestamp %d, want %d", c.MaxTimestamp(), largest)
			}
			if len(want) == len(all) && horizon == was && !bytes.Equal(b, c) {
				t.Fatal("a batch that keeps all its records has changed")
			}
			if pass == 0 {
				b, all = bytes.Clone(c), want
			}
		}
	}
}

// A marker whose transaction is gone gets its horizon once, and can still be read.
func TestRetainMarker(t *testing.T) {
	_, b := AppendControl(nil, Marker{Commit: true, ProducerID: 5, ProducerEpoch: 2, CoordinatorEpoch: 9, Timestamp: 1234})
	var rt Retainer
	yes := func(int64, []byte, bool) bool { return true }
	out, _, err := rt.Retain(nil, b, RetainOptions{Horizon: 5000, Marker: true}, yes)
	if err != nil {
		t.Fatal(err)
	}
	c := Batch(out)
	m, err := ParseControl(c)
	if err != nil || !m.Commit || m.CoordinatorEpoch != 9 || m.Timestamp != 1234 || c.DeleteHorizonMs() != 5000 || !c.Control() || !c.Transactional() {
		t.Fatalf("%+v, %v, horizon %d", m, err, c.DeleteHorizonMs())
	}
	again, _, err := rt.Retain(nil, c, RetainOptions{Horizon: 7000, Marker: true}, yes)
	if err != nil || !bytes.Equal(again, c) {
		t.Fatalf("the horizon moved: %d, %v", Batch(again).DeleteHorizonMs(), err)
	}
	empty := Batch(AppendEmpty(nil, c))
	if err := empty.CheckHeader(); err != nil || empty.Count() != 0 || empty.DeleteHorizon() || !empty.Control() || empty.ProducerEpoch() != 2 {
		t.Fatalf("without its record: %x, %v", empty, err)
	}
}

// A batch that cannot be read is an error: it is neither kept nor dropped.
func TestRetainRefusesDamage(t *testing.T) {
	b, _ := someRecords(t, rand.New(rand.NewPCG(1, 1)), BuildOptions{})
	binary.BigEndian.PutUint32(b[57:], uint32(b.Count()+1))
	out, _, err := new(Retainer).Retain([]byte("x"), b, RetainOptions{}, func(int64, []byte, bool) bool { return true })
	if err == nil || string(out) != "x" {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
}
