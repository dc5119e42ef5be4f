package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// readOffsets reads the offsets of a group from an export: CSV or JSON, told apart by the first character.
func readOffsets(file, group string) (partitions[int64], error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	parse := parseOffsetsCSV
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		parse = parseOffsetsJSON
	}
	offsets, err := parse(text, group)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return offsets, nil
}

// parseOffsetsJSON reads the documents of group seek, group lag and group describe, and {"partitions": [{topic, partition, offset}]}.
func parseOffsetsJSON(text []byte, group string) (partitions[int64], error) {
	type rows []struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
		New       *int64 `json:"new_offset"`
		Committed *int64 `json:"committed_offset"`
		Offset    *int64 `json:"offset"`
	}
	var document struct {
		Partitions rows `json:"partitions"`
		Groups     []struct {
			Name       string `json:"name"`
			Partitions rows   `json:"partitions"`
		} `json:"groups"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	all := document.Partitions
	for _, g := range document.Groups {
		if g.Name == group || len(document.Groups) == 1 {
			all = append(all, g.Partitions...)
		}
	}
	offsets := partitions[int64]{}
	for _, row := range all {
		for _, at := range []*int64{row.New, row.Offset, row.Committed} {
			if at == nil {
				continue
			}
			if row.Topic == "" || row.Partition < 0 || *at < 0 {
				return nil, fmt.Errorf("topic %q, partition %d, offset %d: not a place", row.Topic, row.Partition, *at)
			}
			offsets.set(row.Topic, row.Partition, *at)
			break
		}
	}
	return offsets, nil
}

// parseOffsetsCSV reads topic,partition,offset or group,topic,partition,offset, or whatever columns a heading names.
func parseOffsetsCSV(text []byte, group string) (partitions[int64], error) {
	reader := csv.NewReader(bytes.NewReader(text))
	reader.FieldsPerRecord, reader.TrimLeadingSpace, reader.Comment = -1, true, '#'
	offsets := partitions[int64]{}
	columns := map[string]int{}
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return offsets, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := reader.FieldPos(0)
		if len(columns) == 0 {
			if columns = headings(row); columns["heading"] == 1 {
				continue
			}
		}
		field := func(name string) string {
			if i, ok := columns[name]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		if _, ok := columns["group"]; ok && field("group") != group {
			continue
		}
		if field("offset") == "" || field("offset") == "-" {
			if len(row) > columns["offset"] {
				continue // nothing was committed there
			}
		}
		partition, err := strconv.ParseInt(field("partition"), 10, 32)
		offset, err2 := strconv.ParseInt(field("offset"), 10, 64)
		if err != nil || err2 != nil || partition < 0 || offset < 0 || field("topic") == "" {
			return nil, fmt.Errorf("line %d: %q: want topic,partition,offset or group,topic,partition,offset", line, strings.Join(row, ","))
		}
		offsets.set(field("topic"), int32(partition), offset)
	}
}

// headings finds the columns: by a heading, else by their number.
func headings(row []string) map[string]int {
	columns := map[string]int{}
	topic, partition := slices.Index(row, "topic"), slices.Index(row, "partition")
	if topic >= 0 && partition >= 0 {
		columns["heading"], columns["topic"], columns["partition"] = 1, topic, partition
		for _, name := range []string{"committed_offset", "offset", "new_offset"} {
			if i := slices.Index(row, name); i >= 0 {
				columns["offset"] = i
			}
		}
		if i := slices.Index(row, "group"); i >= 0 {
			columns["group"] = i
		}
		return columns
	}
	first := 0
	if len(row) == 4 {
		columns["group"], first = 0, 1
	}
	columns["topic"], columns["partition"], columns["offset"] = first, first+1, first+2
	return columns
}
