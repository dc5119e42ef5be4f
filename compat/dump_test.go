//go:build compat

package compat

import (
	"bufio"
	"fmt"
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

// Kafka's DumpLogSegments reads logs and indexes. It exits 0 whatever it finds: only its output tells.

// complaint matches what it prints of files that are not as they should be.
var complaint = regexp.MustCompile(`(?i)invalid|mismatch|not found|exception|corrupt|isvalid: false|error|fail`)

// nonConsecutive is a false alarm: the tool says so of every segment whose base offset is not 0, and lists pairs of offsets.
const nonConsecutive = "Non-consecutive offsets in"

// dumpSegments runs the tool. It returns the records it printed, by partition folder, and its complaints.
func dumpSegments(t *testing.T, mode string, files []string) (records map[string]int, complaints []string) {
	t.Helper()
	slices.Sort(files)
	r, w := io.Pipe()
	done := make(chan error, 1)
	records = map[string]int{}
	go func() {
		var err error
		complaints, err = readDump(r, records)
		_, _ = io.Copy(io.Discard, r)
		done <- err
	}()
	// Damage is told on stdout in some cases, on stderr in others.
	exit := try(t, 10*time.Minute, nil, w, w, java(kafkaJars, "org.apache.kafka.tools.DumpLogSegments", mode, "--files", strings.Join(files, ","))...)
	_ = w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if exit != nil { // an exception in the tool
		complaints = append(complaints, exit.Error())
	}
	return records, complaints
}

func readDump(r io.Reader, records map[string]int) (complaints []string, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	var folder, file string
	dumped, listing := 0, false
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "| offset: "):
			records[folder]++
			continue // without --print-data-log it is all numbers, of a record that could be read
		case strings.HasPrefix(line, "Dumping "):
			file = strings.TrimPrefix(line, "Dumping ")
			folder, listing = filepath.Base(filepath.Dir(file)), false
			dumped++
			continue
		case strings.HasPrefix(line, nonConsecutive):
			listing = true
			continue
		case listing && strings.HasPrefix(line, "  "):
			continue
		}
		if complaint.MatchString(line) && len(complaints) < 20 {
			complaints = append(complaints, folder+"/"+filepath.Base(file)+": "+line)
		}
	}
	if dumped == 0 {
		return complaints, fmt.Errorf("DumpLogSegments dumped nothing")
	}
	return complaints, lines.Err()
}

// segments lists a partition's files: logs, and both indexes of each.
func segments(t *testing.T, folder string) (logs, indexes []string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no segments in %s: %v", folder, err)
	}
	for _, l := range logs {
		for _, ext := range []string{".index", ".timeindex"} {
			indexes = append(indexes, strings.TrimSuffix(l, ".log")+ext)
		}
	}
	return logs, indexes
}

// checkSegments has the tool look at every file of the partitions in a directory, and compares the records it finds with ours and
// with those that were produced, by topic.
func checkSegments(t *testing.T, dir string, produced map[string]int) {
	t.Helper()
	var logs, indexes []string
	for topic, want := range produced {
		l, i := segments(t, filepath.Join(dir, topic+"-0"))
		logs, indexes = append(logs, l...), append(indexes, i...)
		if n := countRecords(t, l); n != want {
			t.Errorf("%d records lie in %s, %d were produced", n, topic, want)
		}
	}
	found, complaints := dumpSegments(t, "--deep-iteration", logs)
	for topic, want := range produced {
		if n := found[topic+"-0"]; n != want {
			t.Errorf("DumpLogSegments finds %d records in %s, want %d", n, topic, want)
		}
	}
	for _, mode := range []string{"--verify-index-only", "--index-sanity-check"} {
		_, c := dumpSegments(t, mode, indexes)
		complaints = append(complaints, c...)
	}
	for _, c := range complaints {
		t.Error(c)
	}
}

// countRecords reads segments by our own code.
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

// TestDumpTellsDamage proves that the checks of the other tests can fail: of files damaged in known ways the tool says so, and
// the reader of its output hears it.
func TestDumpTellsDamage(t *testing.T) {
	dir := t.TempDir()
	broker := startMillrace(t, dir)
	s := shelf{topic: "damage", codec: "none"}
	create(t, broker.addr, s.topic, map[string]string{"segment.bytes": "1048576"})
	fill(t, broker.addr, s)
	broker.stop()
	folder := filepath.Join(dir, "damage-0")
	logs, indexes := segments(t, folder)
	if len(logs) < 2 {
		t.Fatalf("%d segments", len(logs))
	}
	for _, mode := range []string{"--verify-index-only", "--index-sanity-check"} {
		if _, c := dumpSegments(t, mode, indexes); len(c) != 0 {
			t.Fatalf("of good files %s says %q", mode, c)
		}
	}
	flip := func(path string, at int64) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(indexes)
	flip(indexes[0], 8+3) // the offset in the second entry of an offset index
	if _, c := dumpSegments(t, "--verify-index-only", indexes); len(c) == 0 {
		t.Error("DumpLogSegments does not tell a wrong entry of an index")
	}
	flip(logs[1], 100)
	if _, c := dumpSegments(t, "--deep-iteration", logs); len(c) == 0 {
		t.Error("DumpLogSegments does not tell a flipped bit in a log")
	}
}
