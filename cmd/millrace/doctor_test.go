package main

import (
	"testing"
	"time"
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
