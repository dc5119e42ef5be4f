//go:build compat

package compat

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines are records as the programs of compat/clients read and print them: timestamp, key, value, headers. No two are the same.
type lines []string

// generate makes records number from up to number to, the same ones for the same seed: keyed and not, empty ones and tombstones, with headers,
// text and bytes that no text has, and now and then a large one.
func generate(p program, seed uint64, from, to int) lines {
	var all lines
	for i := from; i < to; i++ {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		key, value := fmt.Appendf(nil, "key-%03d", r.IntN(500)), fmt.Appendf(nil, "%d:%d ", seed, i)
		switch {
		case i%2500 == 17:
			value = append(value, words(r, 60_000)...)
		case i%7 == 0 && !p.text:
			for range 10 + r.IntN(400) {
				value = append(value, byte(r.Uint32()))
			}
		default:
			value = append(value, words(r, 10+r.IntN(400))...)
		}
		switch {
		case i%89 == 5:
			key, value = fmt.Appendf(nil, "gone-%d-%d", seed, i), nil
		case i%97 == 3 && !p.text:
			key, value = fmt.Appendf(nil, "empty-%d-%d", seed, i), []byte{}
		case i%11 == 0:
			key = nil
		}
		var headers []string
		if i%5 == 0 && !p.text {
			trace := make([]byte, 16)
			for j := range trace {
				trace[j] = byte(0x80 + r.IntN(0x80)) // kcat prints headers with commas between them, up to a zero byte
			}
			headers = append(headers, "trace="+base64.StdEncoding.EncodeToString(trace))
			if i%10 == 0 {
				headers = append(headers, "content-type="+base64.StdEncoding.EncodeToString([]byte("text/plain")))
			}
			if i%50 == 0 {
				headers = append(headers, "nothing=")
			}
		}
		all = append(all, fmt.Sprintf("%d\t%s\t%s\t%s", firstTimestamp+int64(i), field(key), field(value), strings.Join(headers, ",")))
	}
	return all
}

// firstTimestamp is that of record 0; each one that follows is a millisecond younger.
var firstTimestamp = time.Now().Add(-time.Hour).UnixMilli()

func field(b []byte) string {
	if b == nil {
		return "-"
	}
	return base64.StdEncoding.EncodeToString(b)
}

func words(r *rand.Rand, size int) []byte {
	var b []byte
	for len(b) < size {
		b = append(append(b, [...]string{"order", "payment", "inventory", "email", "analytics", "shipped", "cancelled", "42", "millrace"}[r.IntN(9)]...), ' ')
	}
	return b[:size]
}

// file writes the lines where a program can read them.
func (l lines) file(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "records")
	var b bytes.Buffer
	for _, line := range l {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// check compares what was read, by any number of members, to what was sent: every record is there, as it was; in each partition they are in the order
// in which they were sent; a key is in one partition only.
func (l lines) check(sender, reader program, read []event) error {
	identity := func(line string) string {
		if sender.text {
			_, line, _ = strings.Cut(line, "\t") // without the timestamp
		}
		if reader.blurs {
			line = strings.ReplaceAll(strings.ReplaceAll(line, "\t\t", "\t-\t"), "nothing=-", "nothing=")
		}
		return line
	}
	number := make(map[string]int, len(l))
	for i, line := range l {
		number[identity(line)] = i
	}
	type place struct{ partition, offset int64 }
	at := make(map[place]int, len(l))
	home := map[string]int64{}
	for _, e := range read {
		i, ok := number[identity(strings.Join(e.fields[2:], "\t"))]
		if !ok {
			return fmt.Errorf("a record that was read was not sent: %.300q", e.fields)
		}
		where := place{e.number(0), e.number(1)}
		if was, ok := at[where]; ok && was != i {
			return fmt.Errorf("partition %d, offset %d: read as record %d, and as record %d", where.partition, where.offset, was, i)
		}
		at[where] = i
		if key := e.fields[3]; key != "-" {
			if p, ok := home[key]; ok && p != where.partition {
				return fmt.Errorf("key %s is in partition %d and in %d", key, p, where.partition)
			}
			home[key] = where.partition
		}
	}
	places := make([]place, 0, len(at))
	for where := range at {
		places = append(places, where)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset))
	})
	for i := 1; i < len(places); i++ {
		if a, b := places[i-1], places[i]; a.partition == b.partition && at[a] >= at[b] {
			return fmt.Errorf("partition %d: record %d is at offset %d, before record %d at offset %d", a.partition, at[a], a.offset, at[b], b.offset)
		}
	}
	if len(places) != len(l) {
		seen := map[int]bool{}
		for _, i := range at {
			seen[i] = true
		}
		for i := range l {
			if !seen[i] {
				return fmt.Errorf("%d records of %d were read; record %d was not: %.200s", len(places), len(l), i, l[i])
			}
		}
		return fmt.Errorf("%d records were read, some twice at different offsets, of %d", len(places), len(l))
	}
	return nil
}

// spell is a stretch of consecutive offsets of one partition that one member has read.
type spell struct {
	member      string
	first, next int64
	committed   int64 // the last offset it has committed meanwhile, first if none
}

// spells splits what one member did.
func spells(member string, events []event, into map[int64][]spell) {
	open := map[int64]*spell{}
	end := func(p int64) {
		if s := open[p]; s != nil {
			into[p] = append(into[p], *s)
			delete(open, p)
		}
	}
	for _, e := range events {
		switch e.name {
		case "record":
			p, offset := e.number(0), e.number(1)
			if s := open[p]; s == nil || s.next != offset {
				end(p)
				open[p] = &spell{member: member, first: offset, committed: offset}
			}
			open[p].next = offset + 1
		case "committed":
			if s := open[e.number(0)]; s != nil {
				s.committed = e.number(1)
			}
		}
	}
	for p := range open {
		end(p)
	}
}

// checkHandovers follows each partition from member to member of a group: nobody begins behind the end of what the one before has read (records would be
// skipped), nor before what that one has committed (records would be repeated).
func checkHandovers(p program, members map[string][]event) error {
	var errs []error
	all := map[int64][]spell{}
	for name, events := range members {
		spells(name, events, all)
	}
	for partition, ss := range all {
		slices.SortFunc(ss, func(a, b spell) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.next, b.next)) })
		if ss[0].first != 0 {
			errs = append(errs, fmt.Errorf("partition %d: the first record read is at offset %d", partition, ss[0].first))
		}
		for i := 1; i < len(ss); i++ {
			if a, b := ss[i-1], ss[i]; b.first < a.committed && !p.rereads || b.first > a.next {
				errs = append(errs, fmt.Errorf("partition %d: %s read [%d, %d) and committed %d, then %s began at %d", partition, a.member, a.first, a.next, a.committed, b.member, b.first))
			}
		}
	}
	return errors.Join(errs...)
}

// TestTheLedgerSeesWhatIsWrong: the checks above notice each way in which a broker could fail them.
func TestTheLedgerSeesWhatIsWrong(t *testing.T) {
	sent := generate(program{}, 1, 0, 300)
	rec := func(i, partition, offset int) event {
		return event{"record", append([]string{itoa(partition), itoa(offset)}, strings.Split(sent[i], "\t")...)}
	}
	again := 1 // the first record whose key was there before
	for keys := map[string]bool{}; ; again++ {
		key := strings.Split(sent[again], "\t")[1]
		if key != "-" && keys[key] {
			break
		}
		keys[key] = true
	}
	all := func(change func(es []event) []event) []event {
		var es []event
		for i := range sent {
			es = append(es, rec(i, 0, i))
		}
		return change(es)
	}
	for name, c := range map[string]struct {
		read []event
		want string
	}{
		"nothing":             {all(func(es []event) []event { return es }), ""},
		"read twice":          {all(func(es []event) []event { return append(es, es[7]) }), ""},
		"missing":             {all(func(es []event) []event { return slices.Delete(es, 7, 8) }), "was not"},
		"in place of another": {all(func(es []event) []event { es[7] = rec(8, 0, 7); return es }), "before"},
		"swapped":             {all(func(es []event) []event { es[7], es[8] = rec(8, 0, 7), rec(7, 0, 8); return es }), "before"},
		"stored twice":        {all(func(es []event) []event { return append(es, rec(299, 0, 300)) }), "before"},
		"changes":             {all(func(es []event) []event { return append(es, rec(9, 0, 7)) }), "read as record"},
		"another timestamp":   {all(func(es []event) []event { es[7].fields[2] += "0"; return es }), "not sent"},
		"another value":       {all(func(es []event) []event { es[7].fields[4] = "AAAA"; return es }), "not sent"},
		"without a header":    {all(func(es []event) []event { es[10].fields[5] = ""; return es }), "not sent"},
		"a key in two":        {all(func(es []event) []event { es[again] = rec(again, 1, 0); return es }), "is in partition"},
	} {
		if err := sent.check(program{}, program{}, c.read); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}

	reads := func(from, to, committed int) (es []event) {
		for o := from; o < to; o++ {
			es = append(es, event{"record", []string{"0", itoa(o)}})
			if o+1 == committed {
				es = append(es, event{"committed", []string{"0", itoa(committed)}})
			}
		}
		return es
	}
	for name, c := range map[string]struct {
		a, b []event
		ok   bool
	}{
		"goes on":                        {reads(0, 10, 10), reads(10, 20, 20), true},
		"begins behind the commit":       {reads(0, 10, 10), reads(12, 20, 20), false},
		"begins before the commit":       {reads(0, 10, 10), reads(8, 20, 20), false},
		"repeats what was not committed": {reads(0, 10, 6), reads(6, 20, 20), true},
		"repeats one too many":           {reads(0, 10, 6), reads(5, 20, 20), false},
		"a commit that was not told":     {reads(0, 10, 6), reads(9, 20, 20), true},
		"skips what was not committed":   {reads(0, 10, 6), reads(11, 20, 20), false},
		"does not begin at 0":            {reads(3, 10, 10), reads(10, 20, 20), false},
		"both read all":                  {reads(0, 20, 20), reads(0, 20, 20), false},
	} {
		if err := checkHandovers(program{}, map[string][]event{"a": c.a, "b": c.b}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
