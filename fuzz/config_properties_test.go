package fuzz

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/config"
)

const configLoopback = "listeners=PLAINTEXT://127.0.0.1:9092\n"

// FuzzConfigProperties: no text makes the reader panic, every mistake it reports has a place, and a value that is written with
// every character escaped is read back as it was.
func FuzzConfigProperties(f *testing.F) {
	for _, seed := range []string{
		"", "a=b", "# c\n! d\n", configLoopback + "broker.rack=r1 \\\n   r2\n", "broker.rack=\\u00e9\\t\\\\", "broker.rack\\", "\\u12", "=\n:\n \\\n", "\xff=\xfe",
		"listeners=PLAINTEXT://0.0.0.0:1,SSL://[::1]:2\nadvertised.listeners=x\nlog.retention.hours=999999999999\nnum.partitons=1\r\n",
		"listener.name.a.b.ssl.client.auth=none\nlog4j.x=1\nzookeeper.x=1\nbroker.id=1\nnode.id=2\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := config.Parse("f", text, nil); err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "f:") && !strings.HasPrefix(line, "default: ") {
					t.Fatalf("a mistake without its place: %q", line)
				}
			}
		}
		if !utf8.ValidString(text) {
			return
		}
		var escaped strings.Builder
		for _, r := range text {
			if r > 0xffff {
				return // needs a surrogate pair, which the reader does not join
			}
			fmt.Fprintf(&escaped, "\\u%04x", r)
		}
		c, err := config.Parse("f", configLoopback+"broker.rack="+escaped.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.String("broker.rack"), strings.TrimSpace(text); got != want {
			t.Fatalf("broker.rack is %q, want %q", got, want)
		}
	})
}

// FuzzConfigListeners: whatever stands in listeners, a listener that other machines reach is never taken without being told so.
func FuzzConfigListeners(f *testing.F) {
	for _, seed := range []string{"PLAINTEXT://:9092", "PLAINTEXT://127.0.0.1:0", "a://[::1]:1,B://localhost:2", "CONTROLLER://:1,PLAINTEXT://0.0.0.0:2", "PLAINTEXT://[::ffff:127.0.0.1]:3", ",://,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, listeners string) {
		c, err := config.Parse("f", "", []string{"listeners=" + listeners})
		if err != nil {
			return
		}
		for _, l := range c.Listeners() {
			if !l.Loopback() {
				t.Fatalf("%q was taken from %q", l, listeners)
			}
		}
	})
}
