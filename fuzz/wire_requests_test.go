// Package fuzz holds the fuzz targets of every decoder, and their seeds. `make fuzz` runs them; go test runs the seeds.
package fuzz

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/wiretest"
)

// lastColumns returns the hex in the last column of a file of seeds, with the columns before it.
func lastColumns(f *testing.F, path string, seed func(columns []string, raw []byte)) {
	file, err := os.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		columns := strings.Split(lines.Text(), " ")
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		raw, err := hex.DecodeString(columns[len(columns)-1])
		if err != nil {
			f.Fatalf("%s: %v", path, err)
		}
		seed(columns, raw)
		n++
	}
	if lines.Err() != nil || n == 0 {
		f.Fatalf("%s: %d seeds, %v", path, n, lines.Err())
	}
}

// A frame is what a client sent, or nearly: header and body.
func FuzzWireFrame(f *testing.F) {
	lastColumns(f, "testdata/wire_frames.txt", func(_ []string, frame []byte) { f.Add(frame) })
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := wire.DecodeHeader(frame)
		if err != nil {
			var decode *wire.DecodeError
			if !errors.As(err, &decode) || body != nil || h != (wire.Header{}) {
				t.Fatalf("%v with %+v", err, h)
			}
			return
		}
		if !bytes.HasSuffix(frame, body) || len(h.ClientID)+10+len(body) > len(frame) || !h.HasClientID && h.ClientID != "" {
			t.Fatalf("%+v with a body of %d of %d bytes", h, len(body), len(frame))
		}
		for _, m := range wiretest.Messages {
			if m.Key == h.Key && m.Min <= h.Version && h.Version <= m.Max {
				decodeRequest(t, m, h.Version, body)
			}
		}
	})
}

// A body is decoded as each API and version in turn that api and version choose.
func FuzzWireRequest(f *testing.F) {
	byKey := map[int16]uint8{}
	for i, m := range wiretest.Messages {
		byKey[m.Key] = uint8(i)
	}
	lastColumns(f, "testdata/wire_frames.txt", func(_ []string, frame []byte) {
		if h, body, err := wire.DecodeHeader(frame); err == nil {
			if i, known := byKey[h.Key]; known {
				f.Add(i, uint8(h.Version-wiretest.Messages[i].Min), body)
				if err := wiretest.Messages[i].Request().Decode(h.Version, body); err != nil {
					f.Fatalf("a real frame: %v", err)
				}
			}
		}
	})
	lastColumns(f, "../wire/testdata/kafka-4.4.0.txt", func(columns []string, body []byte) {
		key, _ := strconv.Atoi(columns[0])
		version, _ := strconv.Atoi(columns[1])
		if i := byKey[int16(key)]; columns[2] == "request" {
			f.Add(i, uint8(int16(version)-wiretest.Messages[i].Min), body)
		}
	})
	f.Fuzz(func(t *testing.T, api, version uint8, body []byte) {
		m := wiretest.Messages[int(api)%len(wiretest.Messages)]
		decodeRequest(t, m, m.Min+int16(version)%(m.Max-m.Min+1), body)
	})
}

// decodeRequest checks what has to be true of every body: its memory is bounded, kmsg agrees, and what was decoded can be encoded
// and decoded again.
func decodeRequest(t *testing.T, m wiretest.Message, version int16, body []byte) {
	t.Helper()
	ours := m.Request()
	err := ours.Decode(version, body)
	if n := allocated(m, version, body); n > 8*len(body)+64<<10 {
		t.Fatalf("%s v%d: %d bytes allocated for %d", m.Name, version, n, len(body))
	}
	theirs := m.KmsgRequest(version)
	if err != nil {
		// kmsg believes counts of tags and spends minutes on them: it is asked only where there can be no large ones. It accepts
		// some things that we refuse for a reason of ours.
		if !hasLargeVarint(body) && theirs.ReadFrom(bytes.Clone(body)) == nil && !refusedOnPurpose(err) {
			t.Fatalf("%v, but kmsg reads %+v", err, theirs)
		}
		return
	}
	// In these versions kmsg knows tags that are only in later ones, and reads what we pass over.
	foreignTags := m.Key == wire.KeyFetch && version >= 12 && version < 18
	if oddAbsence(ours, body) || foreignTags && hasLargeVarint(body) {
		return
	}
	if err := theirs.ReadFrom(bytes.Clone(body)); err != nil && foreignTags {
		return
	} else if err != nil {
		t.Fatalf("%s v%d: decoded to %+v, but kmsg says: %v", m.Name, version, ours, err)
	}
	wiretest.AsKafka(theirs)
	if err := wiretest.Same(ours, theirs); err != nil {
		t.Fatalf("%s v%d: %v", m.Name, version, err)
	}
	again := theirs.AppendTo(nil)
	if err := ours.Decode(version, again); err != nil {
		t.Fatalf("%s v%d: decoded, encoded, and then: %v", m.Name, version, err)
	}
	if err := wiretest.Same(ours, theirs); err != nil {
		t.Fatalf("%s v%d: decoded, encoded and decoded: %v", m.Name, version, err)
	}
}

// allocated is how many bytes decoding takes: the least of three times, because the fuzzer allocates too.
func allocated(m wiretest.Message, version int16, body []byte) int {
	least := 1 << 62
	for range 3 {
		var before, after runtime.MemStats
		r := m.Request()
		runtime.ReadMemStats(&before)
		_ = r.Decode(version, body)
		runtime.ReadMemStats(&after)
		least = min(least, int(after.TotalAlloc-before.TotalAlloc))
		if least <= 8*len(body)+64<<10 {
			break
		}
	}
	return least
}

// oddAbsence tells whether a struct was taken to be absent by another byte than -1, maybe: every negative number does, for Kafka
// as for us, and only -1 for kmsg.
func oddAbsence(request any, body []byte) bool {
	v := reflect.ValueOf(request).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && f.IsNil() {
			return slices.ContainsFunc(body, func(b byte) bool { return b >= 0x80 && b < 0xff })
		}
	}
	return false
}

// hasLargeVarint tells whether a varint of more than 14 bits may be in body.
func hasLargeVarint(body []byte) bool {
	for i := range body[:max(len(body)-1, 0)] {
		if body[i] >= 0x80 && body[i+1] >= 0x80 {
			return true
		}
	}
	return false
}

// refusedOnPurpose tells whether kmsg is known to accept what was refused.
func refusedOnPurpose(err error) bool {
	var decode *wire.DecodeError
	if !errors.As(err, &decode) {
		return false
	}
	for _, reason := range []string{
		"string is not UTF-8",
		"tagged fields in one struct",                            // more than 64
		"tagged field has",                                       // a known one is longer than what is in it
		"times the request's size",                               // nothing but tiny elements
		"string of length", "array of length", "bytes of length", // null, or below it, where there is no null
	} {
		if strings.Contains(decode.Reason, reason) {
			return true
		}
	}
	return false
}

func FuzzWireUUID(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("-_8BAgMEBQYHCAkKCwwNDg==")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := wire.ParseUUID(s)
		if err == nil && id.String() != strings.TrimSuffix(s, "==") {
			t.Fatalf("%q is %v", s, id)
		}
	})
}
