package wire_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/wiretest"
)

var rounds = flag.Int("rounds", 60, "random messages for each API and version")

// each runs f for every API in every version that has a codec.
func each(t *testing.T, f func(t *testing.T, m wiretest.Message, version int16)) {
	for _, m := range wiretest.Messages {
		for version := m.Min; version <= m.Max; version++ {
			t.Run(fmt.Sprintf("%s/v%d", m.Name, version), func(t *testing.T) { f(t, m, version) })
		}
	}
}

func TestTableAndDefinitionsAgree(t *testing.T) {
	if len(wire.APIs) != len(wiretest.Messages) {
		t.Fatalf("%d rows in APIs, %d definitions", len(wire.APIs), len(wiretest.Messages))
	}
	for i, a := range wire.APIs {
		m := wiretest.Messages[i]
		k := kmsg.RequestForKey(a.Key)
		if a.Key != m.Key || a.Served != m.Min || a.Max != m.Max || k == nil {
			t.Fatalf("%+v does not describe %+v", a, m)
		}
		want := kmsg.NameForKey(a.Key)
		if a.Key == wire.KeyAlterPartitionReassignments {
			want = "AlterPartitionReassignments" // kmsg has a name of its own
		}
		if got := a.Name; !strings.EqualFold(got, want) {
			t.Errorf("key %d is %s, kmsg says %s", a.Key, got, want)
		}
		for v := a.Served; v <= a.Max; v++ {
			k.SetVersion(v)
			if k.IsFlexible() != (v >= a.Flexible) {
				t.Errorf("%s v%d: flexible from %d, kmsg says %v", a.Name, v, a.Flexible, k.IsFlexible())
			}
		}
	}
}

// What kmsg encodes, we decode to the same values, in a struct that still holds the request before.
func TestRequestsDecodeAsKmsgEncodesThem(t *testing.T) {
	each(t, func(t *testing.T, m wiretest.Message, version int16) {
		r := rand.New(rand.NewPCG(uint64(m.Key), uint64(version)))
		ours := m.Request()
		for round := range *rounds {
			theirs := m.KmsgRequest(version)
			wiretest.Fill(r, theirs, theirs.IsFlexible())
			theirs.SetVersion(version)
			wiretest.AsKafka(theirs)
			body := theirs.AppendTo(nil)
			// Read back, theirs has what the version has, and defaults for the rest.
			want := m.KmsgRequest(version)
			if err := want.ReadFrom(body); err != nil {
				t.Fatalf("kmsg cannot read its own %x: %v", body, err)
			}
			wiretest.AsKafka(want)
			if err := ours.Decode(version, body); err != nil {
				t.Fatalf("round %d: %v\n%x", round, err, body)
			}
			if err := wiretest.Same(ours, want); err != nil {
				t.Fatalf("round %d: %v\n%x", round, err, body)
			}
			// Bytes behind the last field are ignored: Kafka does so, and reserves nothing for them.
			if err := ours.Decode(version, append(body, "beyond"...)); err != nil {
				t.Fatalf("bytes behind the request: %v", err)
			}
		}
	})
}

// What we encode is, byte for byte, what kmsg encodes from the same values, and kmsg decodes it.
func TestResponsesEncodeAsKmsgDoes(t *testing.T) {
	each(t, func(t *testing.T, m wiretest.Message, version int16) {
		r := rand.New(rand.NewPCG(uint64(m.Key), uint64(version)))
		ours := m.Response()
		for round := range *rounds {
			filled := m.KmsgResponse(version)
			wiretest.Fill(r, filled, false)
			filled.SetVersion(version)
			wiretest.AsKafka(filled)
			want := filled.AppendTo(nil)
			theirs := m.KmsgResponse(version)
			if err := theirs.ReadFrom(want); err != nil {
				t.Fatalf("kmsg cannot read its own %x: %v", want, err)
			}
			records, err := wiretest.Set(ours, theirs)
			if err != nil {
				t.Fatal(err)
			}
			prefix := []byte("before")
			out, holes := m.Append(ours, version, prefix)
			got := wiretest.Insert(out, holes, records)
			if !bytes.HasPrefix(got, prefix) || !bytes.Equal(got[len(prefix):], want) {
				t.Fatalf("round %d\n got %x\nwant %x\nof %+v", round, got, want, theirs)
			}
			again := m.KmsgResponse(version)
			if err := again.ReadFrom(got[len(prefix):]); err != nil || !reflect.DeepEqual(again, theirs) {
				t.Fatalf("round %d: kmsg reads %+v (%v), want %+v", round, again, err, theirs)
			}
		}
	})
}
