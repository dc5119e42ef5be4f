package main

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func allowed(t *testing.T) []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	var cpus []int
	for n := range 1024 {
		if set.IsSet(n) {
			cpus = append(cpus, n)
		}
	}
	return cpus
}

func TestListsOfProcessors(t *testing.T) {
	all := allowed(t)
	first, last := all[0], all[len(all)-1]
	for text, want := range map[string][]int{
		"":                                 nil,
		fmt.Sprint(first):                  {first},
		fmt.Sprintf("%d,%d", first, last):  {first, last},
		fmt.Sprintf("%d-%d", first, first): {first},
	} {
		if got, err := parseCPUs(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"x", "1-0", ",", "0-", "-1", "1000", "99999"} {
		if got, err := parseCPUs(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// What is started on some processors stays there, and the thread that started it goes on where it was.
func TestOnCPUsIsForWhatItStarts(t *testing.T) {
	before := allowed(t)
	if len(before) < 2 {
		t.Skip("one processor")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var within []int
	if err := onCPUs(before[1:2], func() error { within = allowed(t); return nil }); err != nil {
		t.Fatal(err)
	}
	if after := allowed(t); !slices.Equal(within, before[1:2]) || !slices.Equal(after, before) {
		t.Errorf("before %v, within %v, after %v", before, within, after)
	}
}
