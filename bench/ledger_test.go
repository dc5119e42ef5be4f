package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A stream is made of records 0..99, each different; change makes a bad one of it.
func TestLedgerNamesWhatIsWrong(t *testing.T) {
	type stream = []string
	for _, test := range []struct {
		name   string
		change func(stream) stream
		want   Verdict
	}{
		{"nothing", func(s stream) stream { return s }, Verdict{Sent: 100, Consumed: 100}},
		{"one lost", func(s stream) stream { return slices.Delete(s, 40, 41) }, Verdict{Sent: 100, Consumed: 99, Lost: 1}},
		{"the first lost", func(s stream) stream { return s[1:] }, Verdict{Sent: 100, Consumed: 99, Lost: 1}},
		{"the last lost", func(s stream) stream { return s[:99] }, Verdict{Sent: 100, Consumed: 99, Lost: 1}},
		{"twenty lost", func(s stream) stream { return slices.Delete(s, 40, 60) }, Verdict{Sent: 100, Consumed: 80, Lost: 20}},
		{"all lost", func(stream) stream { return nil }, Verdict{Sent: 100, Lost: 100}},
		{"one twice", func(s stream) stream { return slices.Insert(s, 41, s[40]) }, Verdict{Sent: 100, Consumed: 101, Duplicated: 1}},
		{"ten twice", func(s stream) stream { return slices.Insert(s, 50, s[40:50]...) }, Verdict{Sent: 100, Consumed: 110, Duplicated: 10}},
		{"the last twice", func(s stream) stream { return append(s, s[99]) }, Verdict{Sent: 100, Consumed: 101, Duplicated: 1}},
		{"two exchanged", func(s stream) stream { s[40], s[41] = s[41], s[40]; return s }, Verdict{Sent: 100, Consumed: 100, Reordered: 1}},
		{"one late", func(s stream) stream { return append(slices.Delete(slices.Clone(s), 40, 41), s[40]) }, Verdict{Sent: 100, Consumed: 100, Reordered: 1}},
		{"one changed", func(s stream) stream { s[40] += "!"; return s }, Verdict{Sent: 100, Consumed: 100, Corrupted: 1}},
		{"the last changed", func(s stream) stream { s[99] += "!"; return s }, Verdict{Sent: 100, Consumed: 100, Corrupted: 1}},
		{"a strange one more", func(s stream) stream { return slices.Insert(s, 40, "strange") }, Verdict{Sent: 100, Consumed: 101, Corrupted: 1}},
		{"a strange one at the end", func(s stream) stream { return append(s, "strange") }, Verdict{Sent: 100, Consumed: 101, Corrupted: 1}},
		{"all of it", func(s stream) stream {
			s[10] += "!"
			s = slices.Delete(s, 30, 33)
			return slices.Insert(s, 60, s[55])
		}, Verdict{Sent: 100, Consumed: 98, Lost: 3, Duplicated: 1, Corrupted: 1}},
	} {
		l := NewLedger(1)
		var sent stream
		for i := range 100 {
			sent = append(sent, fmt.Sprint(i))
			l.Sent(0, nil, []byte(sent[i]))
		}
		for offset, value := range test.change(sent) {
			l.Came(0, int64(offset), nil, []byte(value))
		}
		got := l.Verdict()
		if intact := got.Intact(); intact != (test.name == "nothing") {
			t.Errorf("%s: intact is %v", test.name, intact)
		}
		if test.name != "nothing" && len(got.Examples) == 0 {
			t.Errorf("%s: no example", test.name)
		}
		got.Examples = nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
}

// Lines of a text repeat. What exactly happened among equal records cannot be told, but that something did must be.
func TestLedgerNoticesAmongEqualRecords(t *testing.T) {
	text := strings.Split("a,,,b,,c,c,,,,d", ",")
	for name, stream := range map[string][]string{
		"one empty lost":  strings.Split("a,,b,,c,c,,,,d", ","),
		"one empty more":  strings.Split("a,,,,b,,c,c,,,,d", ","),
		"one c lost":      strings.Split("a,,,b,,c,,,,d", ","),
		"b and a swapped": strings.Split("b,,,a,,c,c,,,,d", ","),
		"the end missing": strings.Split("a,,,b,,c,c,,,", ","),
	} {
		l := NewLedger(1)
		for _, value := range text {
			l.Sent(0, []byte("k"), []byte(value))
		}
		for offset, value := range stream {
			l.Came(0, int64(offset), []byte("k"), []byte(value))
		}
		if v := l.Verdict(); v.Intact() {
			t.Errorf("%s: not noticed: %v", name, v)
		}
	}
}

func TestLedgerKeepsPartitionsApart(t *testing.T) {
	l := NewLedger(2)
	l.Sent(0, nil, []byte("a"))
	l.Sent(1, nil, []byte("b"))
	l.Came(1, 0, nil, []byte("a"))
	l.Came(0, 0, nil, []byte("b"))
	if v := l.Verdict(); v.Corrupted != 2 {
		t.Errorf("exchanged between partitions: %v", v)
	}
}

func TestLedgerTellsNullFromEmptyAndKeyFromValue(t *testing.T) {
	hashes := map[uint64]string{}
	for name, h := range map[string]uint64{
		"null key, empty value": hash(nil, []byte{}), "empty key, null value": hash([]byte{}, nil), "both null": hash(nil, nil), "both empty": hash([]byte{}, []byte{}),
		"ab,c": hash([]byte("ab"), []byte("c")), "a,bc": hash([]byte("a"), []byte("bc")), "c,ab": hash([]byte("c"), []byte("ab")),
	} {
		if other, same := hashes[h]; same {
			t.Errorf("%s has the hash of %s", name, other)
		}
		hashes[h] = name
	}
}

func TestLedgerNoticesARepeatedOffset(t *testing.T) {
	l := NewLedger(1)
	l.Sent(0, nil, []byte("a"))
	l.Sent(0, nil, []byte("b"))
	l.Came(0, 5, nil, []byte("a"))
	l.Came(0, 5, nil, []byte("b")) // another record, but no offset stands for two
	if v := l.Verdict(); v.Duplicated != 1 || v.Lost != 1 {
		t.Errorf("%v", v)
	}
}
