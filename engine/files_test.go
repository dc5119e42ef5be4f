package engine

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Golden bytes of our own files, beside what Dump says of them. (Kafka's are compared with Kafka's: kafka_test.go.)
func TestGoldenFiles(t *testing.T) {
	p := newProducer(7, 2)
	p.lastTimestamp, p.coordinatorEpoch, p.txnFirst = 1000, 3, 40
	p.push(pastBatch{lastSequence: 1, offsetDelta: 1, lastOffset: 31, timestamp: 900})
	p.push(pastBatch{lastSequence: 4, offsetDelta: 2, lastOffset: 42, timestamp: 1000})
	q := newProducer(9, 0)
	var slot [slotCopy]byte
	r := logRecord{key: 1, id: testID, logStart: 2, highWatermark: 3, durable: 4, written: 5, through: 5, snapshot: -1, activeBase: 2, activeSize: 7, size: 8,
		oldest: -1, unstable: math.MaxInt64, boot: 0xabcd, clean: true}
	r.encode(&slot, 6)
	h := tableHeader{sequence: 2, starts: 9, directoryID: testID, running: true, bootID: "b"}
	table := make([]byte, tableSlots+slotSize)
	copy(table, h.encode())
	copy(table[tableSlots:], slot[:])
	for _, c := range []struct {
		name  string
		bytes []byte
		from  int
		hex   string
		dump  string
	}{
		{"00000000000000000043.producers", appendProducers(nil, 43, []producer{*p, *q}), 0, `
			4d527072 0001 0000 11d51b3d 000000000000002b 00000002
			0000000000000007 0002 02 00 00000003 00000000000003e8 0000000000000028
			00000001 00000001 000000000000001f 0000000000000384
			00000004 00000002 000000000000002a 00000000000003e8
			0000000000000009 0000 00 00 ffffffff ffffffffffffffff ffffffffffffffff`,
			"as of offset 43\n" +
				"producer 7 epoch 2, last at 1000, coordinator epoch 3: 0-1@30 2-4@40, transaction from 40\n" +
				"producer 9 epoch 0, last at -1, coordinator epoch -1:\n"},
		{"00000000000000000043.snapshot", appendSnapshot(nil, []producer{*p, *q}), 0, `
			0001 06e270a8 00000002
			0000000000000007 0002 00000004 000000000000002a 00000002 00000000000003e8 00000003 0000000000000028
			0000000000000009 0000 ffffffff ffffffffffffffff 00000000 ffffffffffffffff ffffffff ffffffffffffffff`,
			"producer 7 epoch 2, last at 1000, coordinator epoch 3: 2-4@40, transaction from 40\n" +
				"producer 9 epoch 0, last at -1, coordinator epoch -1:\n"},
		{tableName, table, tableSlots, `
			00000000 00000006 0000000000000001 01020304050647088 90a0b0c0d0e0f10 0000000000000002 0000000000000003 0000000000000004
			0000000000000005 0000000000000005 ffffffffffffffff 0000000000000002 0000000000000007 0000000000000008 ffffffffffffffff
			00000001 0000abcd 7fffffffffffffff`,
			`start 9, running true, directory AQIDBAUGRwiJCgsMDQ4PEA, boot "b"` + "\n" +
				"slot 0: key 0000000000000001, topic AQIDBAUGRwiJCgsMDQ4PEA, log start 2, high watermark 3, durable 4, written 5, producers -1 through 5, " +
				"active 2 with 7 of 8 bytes, oldest -1, unstable 9223372036854775807, boot 0000abcd, clean true\n"},
	} {
		got := c.bytes[c.from:]
		if c.name == tableName {
			got = bytes.Clone(got[:slotCopy])
			copy(got, []byte{0, 0, 0, 0}) // the checksum is checked by the dump
		}
		want, err := hex.DecodeString(strings.Join(strings.Fields(c.hex), ""))
		if err != nil {
			t.Fatal(c.name, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, got, want)
		}
		dump, err := Dump(nil, "/x/"+c.name, c.bytes)
		if diff := cmp.Diff(c.dump, string(dump)); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got\n%s", c.name, err, diff)
		}
	}
}

// Every byte of our files counts: one that changed is noticed, or changes nothing.
func TestChangedBytesAreNoticed(t *testing.T) {
	p := newProducer(7, 2)
	p.push(pastBatch{lastSequence: 1, offsetDelta: 1, lastOffset: 31, timestamp: 900})
	for name, content := range map[string][]byte{
		"1.producers": appendProducers(nil, 43, []producer{*p}),
		"1.snapshot":  appendSnapshot(nil, []producer{*p}),
	} {
		want, err := Dump(nil, name, content)
		if err != nil {
			t.Fatal(err)
		}
		for i := range content {
			changed := bytes.Clone(content)
			changed[i] ^= 0x10
			if got, err := Dump(nil, name, changed); err == nil && !(i == 6 || i == 7) {
				t.Errorf("%s: byte %d changed, not noticed: %s for %s", name, i, got, want)
			}
			if _, err := Dump(nil, name, content[:i]); err == nil {
				t.Errorf("%s: cut to %d bytes, not noticed", name, i)
			}
		}
	}
	// A slot that is torn falls back to the copy before it.
	table := make([]byte, tableSlots+slotSize)
	h := tableHeader{sequence: 1, directoryID: testID}
	copy(table[tableHeaderSize:], h.encode())
	var slot [slotCopy]byte
	for sequence, written := range []int64{10, 20} {
		(&logRecord{key: 5, written: written, snapshot: -1}).encode(&slot, uint32(sequence))
		copy(table[tableSlots+sequence*slotCopy:], slot[:])
	}
	for i := range slot {
		torn := bytes.Clone(table)
		torn[tableSlots+slotCopy+i] ^= 1
		_, records, _, ok := parseTable(torn)
		if r := records[5]; !ok || r.written != 10 {
			t.Errorf("byte %d of the newer copy changed: written %d, %v", i, r.written, ok)
		}
		torn = bytes.Clone(table)
		torn[tableSlots+i] ^= 1
		_, records, _, ok = parseTable(torn)
		if r := records[5]; !ok || r.written != 20 {
			t.Errorf("byte %d of the older copy changed: written %d, %v", i, r.written, ok)
		}
	}
}

func TestTextFiles(t *testing.T) {
	c := offsetCheckpoint{"b-1-0": 7, "a-2": 5, "a-10": 6, "no partition": 1}
	if got, want := string(c.append(nil)), "0\n3\na 10 6\na 2 5\nb-1 0 7\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, bad := range []string{"", "0", "1\n0\n", "0\n1\n", "0\n1\na 0\n", "0\n1\na x 1\n", "0\n1\na -1 1\n", "0\n2\na 0 1\n", "0\n1\na 0 1 \n", "0\n1\n 0 1\n"} {
		if c, err := parseOffsetCheckpoint([]byte(bad)); err == nil {
			t.Errorf("%q is %v", bad, c)
		}
	}
	for _, bad := range []string{"", "0\n1\n5\n", "0\n2\n1 5\n1 6\n", "0\n2\n1 5\n2 5\n", "0\n1\n-1 5\n", "0\n1\n1 -5\n", "1\n0\n"} {
		if e, err := parseEpochs([]byte(bad)); err == nil {
			t.Errorf("%q is %v", bad, &e)
		}
	}
	for _, bad := range []string{"", "version=1\n", "version=0\nnode.id=1\ncluster.id=x\n", "version=1\nnode.id=x\ncluster.id=x\n", "version=1\nnode.id=1\n", "junk",
		"version=1\nnode.id=1\ncluster.id=x\ndirectory.id=?\n"} {
		if m, err := parseMetaProperties([]byte(bad)); err == nil {
			t.Errorf("%q is %+v", bad, m)
		}
	}
	for _, bad := range []string{"", "version: 0\n", "version: 1\ntopic_id: AQIDBAUGRwiJCgsMDQ4PEA", "version: 0\ntopic_id: x", "version: 0\ntopicid: AQIDBAUGRwiJCgsMDQ4PEA"} {
		if id, err := parsePartitionMetadata([]byte(bad)); err == nil {
			t.Errorf("%q is %v", bad, id)
		}
	}
}

func TestFolderNames(t *testing.T) {
	for name, want := range map[string]string{
		"orders-0": "orders 0", "a-b-12": "a-b 12", "x--1": "x- 1", "__consumer_offsets-49": "__consumer_offsets 49",
		"orders": "", "orders-": "", "-0": "", "orders-01": "", "orders-+1": "", "orders-99999999999": "", "orders-x": "",
		"orders-0.0123456789abcdef0123456789abcdef-delete": "", "orders-0.0123-stray": "", "orders-0.0123-future": "",
	} {
		topic, partition, ok := parseFolderName(name)
		if got := strings.TrimSpace(topic + " " + strings.TrimPrefix(folderName("", partition), "-")); ok != (want != "") || ok && got != want {
			t.Errorf("%q is %q, %v; want %q", name, got, ok, want)
		}
	}
	long := strings.Repeat("x", 249)
	if got := asideName(long, 123456, [2]uint64{1, 2}, deleteFolderSuffix); len(got) != 255 || !strings.HasSuffix(got, "-123456.00000000000000010000000000000002-delete") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// EpochEnd by Kafka's rules (protocol.md 2.4 #20), and what truncation at both ends leaves.
func TestEpochs(t *testing.T) {
	var e epochs
	for _, s := range []epochStart{{2, 10}, {4, 20}, {4, 25}, {3, 30}, {7, 30}, {9, 30}} {
		e.assign(s.epoch, s.start)
	}
	if got := e.String(); got != "2@10 4@20 9@30" {
		t.Fatal(got)
	}
	for _, c := range []struct {
		asked, epoch int32
		end          int64
	}{{-1, -1, -1}, {0, 0, 10}, {1, 1, 10}, {2, 2, 20}, {3, 2, 20}, {4, 4, 30}, {8, 4, 30}, {9, 9, 40}, {10, -1, -1}} {
		if epoch, end := e.end(c.asked, 40); epoch != c.epoch || end != c.end {
			t.Errorf("epoch %d: %d ends at %d, want %d at %d", c.asked, epoch, end, c.epoch, c.end)
		}
	}
	for offset, want := range map[int64]int32{9: -1, 10: 2, 19: 2, 20: 4, 29: 4, 30: 9, 99: 9} {
		if got := e.at(offset); got != want {
			t.Errorf("epoch at %d is %d, want %d", offset, got, want)
		}
	}
	for _, c := range []struct {
		at         int64
		start, end string
	}{{5, "2@10 4@20 9@30", "none"}, {10, "2@10 4@20 9@30", "none"}, {15, "2@15 4@20 9@30", "2@10"}, {20, "4@20 9@30", "2@10"}, {29, "4@29 9@30", "2@10 4@20"}, {50, "9@50", "2@10 4@20 9@30"}} {
		a, b := epochs{append([]epochStart(nil), e.list...)}, epochs{append([]epochStart(nil), e.list...)}
		a.truncateStart(c.at)
		b.truncateEnd(c.at)
		if a.String() != c.start || b.String() != c.end {
			t.Errorf("truncated at %d: from the start %v, from the end %v; want %s, %s", c.at, &a, &b, c.start, c.end)
		}
	}
	again, err := parseEpochs(e.append(nil))
	if err != nil || again.String() != e.String() {
		t.Error(&again, err)
	}
	var none epochs
	if epoch, end := none.end(0, 40); epoch != -1 || end != -1 || none.latest() != -1 {
		t.Error(epoch, end)
	}
}
