// Package host watches the machine while a benchmark runs: what a broker's processes use, what the machine is, and how much it
// was disturbed. It reads /proc and /sys, and the CPU clocks of processes, which anybody may read of anybody.
//
// A window begins with Sampler.Mark and ends with Sampler.Stop. Figures are differences between the two; a thread that ended in
// between is in the total of its process and, when it lived for a second, under its name as well.
package host

import (
	"os"
	"strconv"
	"strings"
)

// proc reads a file of a process.
func proc(pid int, name string) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	return string(b), err
}

// number reads a decimal number; what is none is 0: the kernel's own files are trusted.
func number(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	return n
}

// line returns what stands behind a label such as "RssAnon:", without a unit.
func line(file, label string) (string, bool) {
	for l := range strings.Lines(file) {
		if rest, ok := strings.CutPrefix(l, label); ok {
			return strings.TrimSuffix(strings.TrimSpace(rest), " kB"), true
		}
	}
	return "", false
}
