package main

import (
	"context"
	bits "encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Compaction takes records off a batch and leaves its last offset as it is. Where those were the last of a partition, their offsets
// never come, and consume -e must not wait for them.
func TestConsumeEndsAtAHole(t *testing.T) {
	dir := t.TempDir()
	ports := filepath.Join(dir, "ports.json")
	serve := func() (address string, end func()) {
		server, stderr := start("server", "--port", "0", "--ports-file", ports, "--data-dir", filepath.Join(dir, "data"))
		if err := waitForFile(ports, server); err != nil {
			t.Fatalf("%v\n%s", err, stderr)
		}
		address, _ = readPorts(ports)
		return address, func() { stop(server) }
	}
	run := func(address, stdin string, args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := exec.CommandContext(ctx, binary, append(args, "-b", address)...)
		c.Stdin = strings.NewReader(stdin)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	address, end := serve()
	run(address, "", "topic", "create", "holes")
	run(address, "1\n2\n3\n", "produce", "holes")
	end()
	log := filepath.Join(dir, "data", "holes-0", "00000000000000000000.log")
	bytes, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, withoutLastRecord(t, bytes), 0o644); err != nil {
		t.Fatal(err)
	}
	address, end = serve()
	defer end()
	if end := run(address, "", "topic", "describe", "holes"); !strings.Contains(end, "0          1       0      1         1    0      3") {
		t.Fatalf("the end is not 3:\n%s", end)
	}
	if got := run(address, "", "consume", "holes", "-e"); got != "1\n2\n" {
		t.Errorf("consume -e printed %q", got)
	}
	if got := run(address, "", "consume", "holes", "-e", "-g", "holes"); got != "1\n2\n" {
		t.Errorf("consume -e -g printed %q", got)
	}
}

// withoutLastRecord takes the last record off the one batch of a log.
func withoutLastRecord(t *testing.T, log []byte) []byte {
	var batch kmsg.RecordBatch
	if err := batch.ReadFrom(log[:12+bits.BigEndian.Uint32(log[8:])]); err != nil || batch.NumRecords != 3 || batch.Attributes != 0 {
		t.Fatalf("not one plain batch of three records: %v, %+v", err, batch)
	}
	kept := batch.Records
	for range batch.NumRecords - 1 {
		length, n := bits.Varint(kept)
		kept = kept[n+int(length):]
	}
	batch.Records = batch.Records[:len(batch.Records)-len(kept)]
	batch.NumRecords--
	batch.Length -= int32(len(kept))
	out := batch.AppendTo(nil)
	bits.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}
