package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// judge runs a verdict's payload through Only and Check. The batch is a copy.
func judge(v verdict, o CheckOptions) (Batch, *CheckError) {
	o.Compacted, o.LogAppendTime = v.compacted, v.appends
	o.ZstdAllowed = v.version == 0 || v.version >= 7
	b, err := Only(bytes.Clone(v.payload))
	if err == nil {
		err = b.Check(&o)
	}
	var bad *CheckError
	if err != nil && !errors.As(err, &bad) {
		panic(err)
	}
	return b, bad
}

// Behaviours 3, 4 and 5.
func TestVerdicts(t *testing.T) {
	for _, v := range verdicts(t) {
		t.Run(v.name, func(t *testing.T) {
			_, bad := judge(v, limits())
			if bad == nil {
				if v.code != 0 {
					t.Fatalf("accepted, want code %d", v.code)
				}
				return
			}
			if bad.Code != v.code {
				t.Fatalf("code %d (%v), want %d", bad.Code, bad, v.code)
			}
			var got []int32
			for _, r := range bad.Records {
				got = append(got, r.Index)
			}
			if !slices.Equal(got, v.records) {
				t.Errorf("records %v, want %v", got, v.records)
			}
			if first := slices.Concat(v.records, []int32{-1})[0]; bad.Index != first {
				t.Errorf("index %d, want %d", bad.Index, first)
			}
		})
	}
}
