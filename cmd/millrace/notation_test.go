package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNearest(t *testing.T) {
	names := []string{"orders", "payments", "payments-dlq", "Inventory"}
	for word, want := range map[string]string{
		"ordres": "orders", "order": "orders", "paymet": "payments", "inventory": "Inventory", "pay": "payments", "emails": "", "o": "", "": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestParseRanges(t *testing.T) {
	for text, want := range map[string][]int32{"0": {0}, "0,2-5": {0, 2, 3, 4, 5}, " 7 , 1-1": {7, 1}} {
		if got, err := parseRanges(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("parseRanges(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "3-1", "0-2147483647", "1,,2", "99999999999"} {
		if got, err := parseRanges(text); err == nil {
			t.Errorf("parseRanges(%q) = %d numbers, want an error", text, len(got))
		}
	}
	if got := ranges([]int32{5, 0, 1, 2, 7}); got != "0-2,5,7" {
		t.Errorf("ranges = %q", got)
	}
}

func TestParsePosition(t *testing.T) {
	now := time.UnixMilli(10_000_000)
	for text, want := range map[string]position{
		"start": {atStart, 0}, "earliest": {atStart, 0}, "end": {beforeEnd, 0}, "latest": {beforeEnd, 0}, "7": {atOffset, 7}, "-7": {beforeEnd, 7},
		"-9223372036854775808": {beforeEnd, 9223372036854775807}, "@-10s": {atTime, 9_990_000}, "@5": {atTime, 5}, "@1970-01-01T00:00:01Z": {atTime, 1000}, "@1970-01-02": {atTime, 86_400_000},
	} {
		if got, err := parsePosition(text, now); err != nil || got != want {
			t.Errorf("parsePosition(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "+1", "soon", "@", "@10s", "@soon", "1.5"} {
		if got, err := parsePosition(text, now); err == nil {
			t.Errorf("parsePosition(%q) = %v, want an error", text, got)
		}
	}
}

func TestReadOffsets(t *testing.T) {
	want := partitions[int64]{"orders": {0: 5, 1: 7}}
	for name, text := range map[string]string{
		"kafka without group": "orders,0,5\norders,1,7\n",
		"kafka with group":    "payment,orders,0,5\nother,orders,0,99\n\"payment\",\"orders\",1,7\n",
		"group lag":           "group,topic,partition,committed_offset,start_offset,end_offset,lag\npayment,orders,0,5,0,9,4\nother,orders,1,3,0,9,4\npayment,orders,1,7,0,9,2\npayment,orders,2,,0,9,\n",
		"own columns":         "topic,partition,offset\norders,0,5\norders,1,7\norders,2,-\n",
		"group seek":          `{"partitions":[{"topic":"orders","partition":0,"committed_offset":1,"new_offset":5},{"topic":"orders","partition":1,"new_offset":7}]}`,
		"group describe":      `{"groups":[{"name":"other","partitions":[{"topic":"orders","partition":3,"committed_offset":1}]},{"name":"payment","partitions":[{"topic":"orders","partition":0,"committed_offset":5},{"topic":"orders","partition":1,"committed_offset":7},{"topic":"orders","partition":2,"committed_offset":null}]}]}`,
		"kafka's JSON":        ` {"version":1,"partitions":[{"topic":"orders","partition":0,"offset":5},{"topic":"orders","partition":1,"offset":7}]}`,
	} {
		file := filepath.Join(t.TempDir(), "offsets")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readOffsets(file, "payment"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	for _, text := range []string{"orders,0", "orders,-1,5", "orders,0,-5", "orders,zero,5", `{"partitions":[{"topic":"orders","partition":0,"offset":-5}]}`, `{`, `{"partitions":7}`, ",0,5", "\"orders,0,5"} {
		file := filepath.Join(t.TempDir(), "offsets")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := readOffsets(file, "payment"); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// A name of others neither moves the cursor nor breaks a line.
func TestTablesArePrintable(t *testing.T) {
	var b strings.Builder
	if err := printTable(&b, [][]string{{"NAME", "N", ""}, {"a\x1b[31m\tb", "1", ""}, {"größe 日本", "2", "note"}, {"\xff", "3", ""}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME            N\n\"a\\x1b[31m\\tb\"  1\ngröße 日本        2  note\n\"\\xff\"          3\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
