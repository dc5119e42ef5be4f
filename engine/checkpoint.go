package engine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kafka's offset checkpoints are text: a version, a count, then one line per entry.
//
//	0
//	2
//	orders 0 4711
//	orders 1 42

// offsetCheckpoint maps folder names to offsets.
type offsetCheckpoint map[string]int64

var errCheckpoint = errors.New("not a checkpoint of version 0")

// checkpointLines checks version and count and returns the lines after them.
func checkpointLines(b []byte) ([][]byte, error) {
	lines := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(lines) < 2 || string(lines[0]) != "0" {
		return nil, errCheckpoint
	}
	n, err := strconv.Atoi(string(lines[1]))
	if err != nil || n != len(lines)-2 {
		return nil, errCheckpoint
	}
	return lines[2:], nil
}

func parseOffsetCheckpoint(b []byte) (offsetCheckpoint, error) {
	lines, err := checkpointLines(b)
	if err != nil {
		return nil, err
	}
	c := make(offsetCheckpoint, len(lines))
	for _, line := range lines {
		f := strings.Split(string(line), " ")
		if len(f) != 3 {
			return nil, fmt.Errorf("%w: line %q", errCheckpoint, line)
		}
		partition, err1 := strconv.ParseInt(f[1], 10, 32)
		offset, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil || partition < 0 || f[0] == "" {
			return nil, fmt.Errorf("%w: line %q", errCheckpoint, line)
		}
		c[folderName(f[0], int32(partition))] = offset
	}
	return c, nil
}

// append writes the checkpoint, in order of folder names. Names that are no partition's are left out.
func (c offsetCheckpoint) append(dst []byte) []byte {
	names := make([]string, 0, len(c))
	for name := range c {
		if _, _, ok := parseFolderName(name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	dst = fmt.Appendf(dst, "0\n%d\n", len(names))
	for _, name := range names {
		topic, partition, _ := parseFolderName(name)
		dst = fmt.Appendf(dst, "%s %d %d\n", topic, partition, c[name])
	}
	return dst
}
