package record

import (
	"testing"
)

// The hot path allocates nothing, whatever the build.
func TestUncompressedBatchesAllocateNothing(t *testing.T) {
	b := build(t, None, 500)
	log := append(append([]byte(nil), b...), b...)
	o, lat := limits(), limits()
	lat.LogAppendTime = true
	var sink int64
	for name, f := range map[string]func(){
		"Next": func() { b, rest, _ := Next(log); sink += int64(len(b) + len(rest)) },
		"Only": func() { b, _ := Only(b); sink += int64(len(b)) },
		"views": func() {
			sink += b.NextOffset() + b.MaxTimestamp() + int64(b.LastSequence()) + b.ProducerID() + int64(b.Count()) + int64(len(b.Records()))
		},
		"Stamp":       func() { b.Stamp(5, 6); b.Stamp(0, 0) },
		"CheckHeader": func() { must(t, b.CheckHeader()) },
		"Check":       func() { must(t, b.Check(&o)) },
		"Check, header only": func() {
			o := o
			o.HeaderOnly = true
			must(t, b.Check(&o))
		},
		"Check, rewriting": func() {
			must(t, b.Check(&lat))
			b.SetMaxTimestamp(now, false)
			must(t, b.Check(&o))
		},
		"Cheap": func() { sink += int64(len(b)); _ = b.Cheap() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func must(t *testing.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}
