package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

func TestDecodeHeader(t *testing.T) {
	for _, c := range []struct {
		name, frame string // hex
		want        wire.Header
		body        string // hex
	}{
		{"version 1: metadata 8", "0003 0008 00000007 0004 6b636174 aabb",
			wire.Header{Key: 3, Version: 8, CorrelationID: 7, ClientID: "kcat", HasClientID: true}, "aabb"},
		{"version 2: metadata 9, tags skipped", "0003 0009 00000007 0004 6b636174 02 05 01 ff 06 00 aabb",
			wire.Header{Key: 3, Version: 9, CorrelationID: 7, ClientID: "kcat", HasClientID: true}, "aabb"},
		{"null client id", "0003 0009 ffffffff ffff 00 aabb", wire.Header{Key: 3, Version: 9, CorrelationID: -1}, "aabb"},
		{"empty client id", "0003 0008 00000007 0000 aabb", wire.Header{Key: 3, Version: 8, CorrelationID: 7, HasClientID: true}, "aabb"},
		{"a client id of any bytes", "0003 0008 00000007 0002 fffe", wire.Header{Key: 3, Version: 8, CorrelationID: 7, ClientID: "\xff\xfe", HasClientID: true}, ""},
		// Protocol 2.2 item 1: nothing of a request that is too new is interpreted, neither tags nor body.
		{"ApiVersions too new", "0012 0063 00000007 0001 78 ff ff ff ff ff ff", wire.Header{Key: 18, Version: 99, CorrelationID: 7, ClientID: "x", HasClientID: true}, "ffffffffffff"},
		{"unknown key", "7fff 0000 00000007 ffff 01", wire.Header{Key: 32767, CorrelationID: 7}, "01"},
		{"negative key", "8000 7fff 00000007 ffff 01", wire.Header{Key: -32768, Version: 32767, CorrelationID: 7}, "01"},
		{"negative version", "0003 ffff 00000007 ffff 01", wire.Header{Key: 3, Version: -1, CorrelationID: 7}, "01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame := unhex(t, c.frame)
			h, body, err := wire.DecodeHeader(frame)
			if err != nil {
				t.Fatal(err)
			}
			if h != c.want || hex.EncodeToString(body) != c.body {
				t.Errorf("got %+v body %x\nwant %+v body %s", h, body, c.want, c.body)
			}
			for n := range len(frame) - len(body) {
				if _, _, err := wire.DecodeHeader(frame[:n]); err == nil {
					t.Errorf("cut after %d bytes, still decoded", n)
				}
			}
		})
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	for _, c := range []struct{ name, frame string }{
		{"client id of length -2", "0003 0008 00000007 fffe"},
		{"client id longer than the frame", "0003 0008 00000007 7fff 78"},
		{"too many tags", "0003 0009 00000007 ffff 41" + strings.Repeat("0000", 65)},
		{"4 billion tags", "0003 0009 00000007 ffff ffffffff0f"},
		{"tag longer than the frame", "0003 0009 00000007 ffff 01 00 ffffffff0f"},
		{"varint without an end", "0003 0009 00000007 ffff ffffffffffffffff"},
	} {
		_, _, err := wire.DecodeHeader(unhex(t, c.frame))
		var decode *wire.DecodeError
		if !errors.As(err, &decode) || decode.API != "header" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAppendResponseHeader(t *testing.T) {
	for _, c := range []struct {
		name         string
		key, version int16
		want         string
	}{
		{"not flexible", wire.KeyMetadata, 8, "00000007"},
		{"flexible", wire.KeyMetadata, 9, "0000000700"},
		{"ApiVersions before it was flexible", wire.KeyApiVersions, 0, "00000007"},
		{"ApiVersions never changes its header", wire.KeyApiVersions, 5, "00000007"},
	} {
		got := wire.AppendResponseHeader([]byte("x"), c.key, c.version, 7)
		if hex.EncodeToString(got[1:]) != c.want {
			t.Errorf("%s: %x, want %s", c.name, got[1:], c.want)
		}
	}
}

func TestHeadersAllocateNothing(t *testing.T) {
	frame := unhex(t, "0003 0009 00000007 0004 6b636174 00 aabb")
	dst := make([]byte, 0, 16)
	if n := testing.AllocsPerRun(100, func() {
		h, _, err := wire.DecodeHeader(frame)
		if err != nil {
			t.Fatal(err)
		}
		dst = wire.AppendResponseHeader(dst[:0], h.Key, h.Version, h.CorrelationID)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}
