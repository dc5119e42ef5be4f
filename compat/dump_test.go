//go:build compat

package compat

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/wire/record"
)

// complaints is what DumpLogSegments prints of files that are not as they should be. It exits 0 all the same.
var complaints = regexp.MustCompile(`(?i)invalid|mismatch|not found|exception|corrupt|isvalid: false|error|fail`)

// nonConsecutive is a false alarm of the tool: it says so of every segment whose base offset is not 0.
const nonConsecutive = "Non-consecutive offsets in"

// dump has DumpLogSegments look at all files of a partition, and compares its records with ours and with what was produced.
func dump(t *testing.T, dir, topic string, want int) {
	t.Helper()
	folder := filepath.Join(dir, topic+"-0")
	logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no segments in %s: %v", folder, err)
	}
	slices.Sort(logs)
	if ours := countRecords(t, logs); ours != want {
		t.Errorf("%d records lie in %s, %d were produced", ours, topic, want)
	}
	if got := dumpRecords(t, logs); got != want {
		t.Errorf("DumpLogSegments finds %d records in %s, want %d", got, topic, want)
	}
	var indexes []string
	for _, l := range logs {
		for _, ext := range []string{".index", ".timeindex"} {
			indexes = append(indexes, strings.TrimSuffix(l, ".log")+ext)
		}
	}
	for _, check := range []string{"--verify-index-only", "--index-sanity-check"} {
		r, w := io.Pipe()
		done := make(chan int, 1)
		go func() { done <- readDump(t, r) }()
		run(t, limit, nil, w, java(toolJars, "org.apache.kafka.tools.DumpLogSegments", check, "--files", strings.Join(indexes, ","))...)
		_ = w.Close()
		<-done
	}
}

// dumpRecords counts the records that the tool prints.
func dumpRecords(t *testing.T, logs []string) int {
	t.Helper()
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() { done <- readDump(t, r) }()
	run(t, 10*time.Minute, nil, w, java(toolJars, "org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--files", strings.Join(logs, ","))...)
	_ = w.Close()
	return <-done
}

// readDump reads the tool's output: it counts records and reports complaints.
func readDump(t *testing.T, r io.Reader) (records int) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	file, reported, listing := "", 0, false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "| offset: "):
			records++
			if !strings.Contains(line, " isValid: false") {
				continue
			}
		case strings.HasPrefix(line, "Dumping "):
			file, listing = line, false
			continue
		case strings.HasPrefix(line, nonConsecutive):
			listing = true // followed by lines of two offsets
			continue
		case listing && strings.HasPrefix(line, "  "):
			continue
		}
		if complaints.MatchString(line) {
			if reported++; reported <= 10 {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
		_, _ = io.Copy(io.Discard, r)
	}
	return records
}

// countRecords reads the segments by our own code.
func countRecords(t *testing.T, logs []string) (n int) {
	t.Helper()
	for _, path := range logs {
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for {
			b, rest, err := record.Next(p)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s, %d bytes before its end: %v", path, len(p), err)
			}
			if err := b.CheckHeader(); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			n, p = n+int(b.Count()), rest
		}
	}
	return n
}
