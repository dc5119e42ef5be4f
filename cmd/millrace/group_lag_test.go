package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestLagOfPartitions(t *testing.T) {
	committed := kadm.OffsetResponses{}
	for _, o := range []kadm.Offset{{Topic: "t", Partition: 0, At: 10}, {Topic: "t", Partition: 1, At: 2}, {Topic: "t", Partition: 2, At: 30}, {Topic: "t", Partition: 9, At: 1}, {Topic: "gone", Partition: 0, At: 1}, {Topic: "t", Partition: 3, At: -1}} {
		committed.Add(kadm.OffsetResponse{Offset: o})
	}
	all := partitions[bounds]{"t": {0: {0, 15, nil}, 1: {5, 15, nil}, 2: {0, 15, nil}, 3: {0, 15, nil}, 4: {0, 15, nil}}}
	members := []groupMember{{ID: "m", ClientID: "c", Host: "/h", Assignment: []topicPartitions{{"t", []int32{4}}}}}
	var got []string
	for _, p := range partitionLags(members, committed, all) {
		got = append(got, strings.Join([]string{p.Topic, orDash(p.Committed), orDash(p.Lag), p.member, p.Note}, "|"))
	}
	want := []string{
		"gone|1|-||there is no such topic any more",
		"t|10|5||",
		"t|2|13||3 offsets before the start are gone",
		"t|30|0||committed beyond the end",
		"t|-|-||",
		"t|-|-|c at h|",
		"t|1|-||there is no such partition any more",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
