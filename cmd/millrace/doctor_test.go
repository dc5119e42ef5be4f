package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestDoctorJudgesTheHost(t *testing.T) {
	for _, c := range []struct {
		what string
		got  check
		want status
	}{
		{"open files, many", openFilesCheck(1<<20, ""), healthy},
		{"open files, some", openFilesCheck(20000, ""), doubtful},
		{"open files, few", openFilesCheck(1024, ""), broken},
		{"maps, many", mapCountCheck("1048576", 10), healthy},
		{"maps, Linux's default", mapCountCheck("65530", 0), doubtful},
		{"maps, used up", mapCountCheck("65530", 65000), broken},
		{"maps, unknown", mapCountCheck("", 0), unknown},
		{"huge pages, always", hugePages("[always] madvise never"), doubtful},
		{"huge pages, madvise", hugePages("always [madvise] never"), healthy},
		{"huge pages, none", hugePages(""), unknown},
		{"swap, none", swappiness("60", "Filename Type Size Used Priority"), healthy},
		{"swap, eager", swappiness("60", "Filename Type Size Used Priority\n/swap file 1 0 -2"), doubtful},
		{"swap, reluctant", swappiness("1", "Filename Type Size Used Priority\n/swap file 1 0 -2"), healthy},
		{"clock", clockCheck(false), healthy},
		{"clock, free", clockCheck(true), doubtful},
		{"ext4", fileSystemCheck(0xef53), healthy},
		{"xfs", fileSystemCheck(0x58465342), healthy},
		{"tmpfs", fileSystemCheck(0x01021994), doubtful},
		{"nfs", fileSystemCheck(0x6969), doubtful},
		{"some file system", fileSystemCheck(1), unknown},
		{"space", freeSpace(100<<30, 50<<30), healthy},
		{"space, little", freeSpace(100<<30, 10<<30), doubtful},
		{"space, none", freeSpace(100<<30, 1<<29), broken},
		{"inodes", freeFiles(1000, 500), healthy},
		{"inodes, none", freeFiles(1000, 1), broken},
		{"inodes, not limited", freeFiles(0, 0), healthy},
	} {
		if c.got.Status != c.want || (c.got.Fix == "") == (c.want == broken || c.want == doubtful) || c.got.Found == "" && c.what[:4] != "open" {
			t.Errorf("%s: %+v, want %s", c.what, c.got, c.want)
		}
	}
	if n, ok := openFilesOf("Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n"); !ok || n != 1024 {
		t.Errorf("limits: %d, %v", n, ok)
	}
}

func TestDoctorComparesClocks(t *testing.T) {
	begin := time.UnixMilli(1_000_000)
	for _, c := range []struct {
		told time.Time
		took time.Duration
		want status
	}{
		{begin.Add(time.Millisecond), 2 * time.Millisecond, healthy},
		{begin.Add(400 * time.Millisecond), time.Second, healthy}, // a slow answer explains it
		{begin.Add(2 * time.Second), 2 * time.Millisecond, doubtful},
		{begin.Add(-time.Minute), 2 * time.Millisecond, broken},
		{begin.Add(time.Hour), time.Second, broken},
	} {
		if got := skew("clock", c.told, begin, c.took); got.Status != c.want {
			t.Errorf("%v after %v: %+v, want %s", c.told.Sub(begin), c.took, got, c.want)
		}
	}
}

func TestDoctorWarnsOfGroupsThatNobodyReadsFor(t *testing.T) {
	before := map[string]int64{"a": 1, "b": 2, "c": 3}
	got := grown(before, map[string]int64{"a": 1501, "b": 2}, time.Second) // c has members by now
	if want := "no members and a lag that grew in 1s: a by 1,500 to 1,501"; got.Status != doubtful || got.Found != want || got.Fix == "" {
		t.Errorf("%+v, want %q", got, want)
	}
	if got := grown(before, map[string]int64{"b": 1}, time.Second); got.Status != healthy || !strings.Contains(got.Found, "does not grow: b") {
		t.Errorf("%+v", got)
	}
	if got := grown(before, nil, time.Second); got.Status != healthy || got.Found != "every group that is behind has members" {
		t.Errorf("%+v", got)
	}
}

func TestHealthNamesWhatIsWrong(t *testing.T) {
	detail := func(leader int32, isr ...int32) kadm.PartitionDetail {
		return kadm.PartitionDetail{Leader: leader, Replicas: []int32{1, 2, 3}, ISR: isr}
	}
	topic := kadm.TopicDetail{Topic: "t", Partitions: kadm.PartitionDetails{0: detail(1, 1, 2, 3), 1: detail(1, 1, 3), 2: detail(-1)}}
	for n, p := range topic.Partitions {
		p.Topic, p.Partition = "t", n
		topic.Partitions[n] = p
	}
	h := health(kadm.TopicDetails{"t": topic})
	h.Unreachable = []int32{2}
	want := "1 broker cannot be reached (2), 1 partition offline (t/2), 1 partition under-replicated (t/1)"
	if err := h.failure(); h.Healthy || explain(err).exit != exitUnhealthy || explain(err).message != want {
		t.Errorf("%+v: %v, want %q", h, err, want)
	}
	delete(topic.Partitions, 1)
	delete(topic.Partitions, 2)
	if h := health(kadm.TopicDetails{"t": topic}); !h.Healthy || h.failure() != nil {
		t.Errorf("%+v", h)
	}
	if n := partitionCount(kadm.TopicDetails{"t": topic}); n != 1 {
		t.Errorf("%d partitions", n)
	}
}
