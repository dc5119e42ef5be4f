package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// parseCPUs reads a list as taskset -c takes it: 0, 0,2, 0-3,6. Empty is nil: any of them.
func parseCPUs(text string) ([]int, error) {
	if text == "" {
		return nil, nil
	}
	wrong := func(why string) error { return fmt.Errorf("%s: %s; a list of processors is 0, 0,2 or 0-3", text, why) }
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, err
	}
	var cpus []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 10)
		to, err2 := strconv.ParseUint(last, 10, 10)
		if errors.Join(err, err2) != nil || to < from {
			return nil, wrong(fmt.Sprintf("%q is no processor", part))
		}
		for n := int(from); n <= int(to); n++ {
			if !allowed.IsSet(n) {
				return nil, wrong(fmt.Sprintf("this process may not use processor %d", n))
			}
			cpus = append(cpus, n)
		}
	}
	return cpus, nil
}

func cpuSet(cpus []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, n := range cpus {
		set.Set(n)
	}
	return &set
}

// onCPUs runs f on some processors only, and with it what f starts. The calling goroutine must be locked to its thread.
func onCPUs(cpus []int, f func() error) error {
	if len(cpus) == 0 {
		return f()
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, cpuSet(cpus)); err != nil {
		return err
	}
	err := f()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// pin keeps a running process, all its threads, to some processors. undo gives it back those of its first thread.
func pin(pid int, cpus []int) (undo func(), err error) {
	if len(cpus) == 0 {
		return func() {}, nil
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &before); err != nil {
		return func() {}, fmt.Errorf("process %d: %w", pid, err)
	}
	set := func(to *unix.CPUSet) error {
		for range 2 { // a thread that was made meanwhile has what its maker had: the second pass finds it
			threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			if err != nil {
				return err
			}
			for _, t := range threads {
				tid, _ := strconv.Atoi(t.Name()) // the kernel's own numbers
				if err := unix.SchedSetaffinity(tid, to); err != nil && !errors.Is(err, unix.ESRCH) {
					return fmt.Errorf("process %d: %w", pid, err)
				}
			}
		}
		return nil
	}
	return func() { _ = set(&before) }, set(cpuSet(cpus)) // a process that has ended needs nothing back
}

// pinSelf keeps this process to some processors for the rest of its life, and lets Go run no more threads at a time than that.
func pinSelf(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	if _, err := pin(os.Getpid(), cpus); err != nil {
		return err
	}
	runtime.GOMAXPROCS(len(cpus))
	return nil
}
