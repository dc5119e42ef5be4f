package netio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

// A file that somebody cuts while it is sent costs the connection, by either way, and nothing else.
func TestAFileThatIsCutCostsOneConnection(t *testing.T) {
	for name, length := range map[string]int{"mapping": inlineSlice, "sendfile": 256 << 10} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := newFile(t, vfs.OS, dir, length, true)
			if err := os.Truncate(filepath.Join(dir, "file"), 8<<10); err != nil {
				t.Fatal(err)
			}
			why := make(chan error, 2)
			s, _ := serve(t, funcs{
				frame: func(_ *Conn, r *Reply) {
					if string(r.Frame) == "file" {
						r.Insert(len(r.Buf), f.slice(0, len(f.bytes)))
					} else {
						r.Buf = append(r.Buf, r.Frame...)
					}
					r.Send()
				},
				closed: func(_ *Conn, err error) { why <- err },
			}, nil)
			c, other := dial(t, s), dial(t, s)
			c.send([]byte("file"))
			c.expectClosed()
			if err := <-why; err == nil || !strings.Contains(err.Error(), "cut") && !strings.Contains(err.Error(), "EOF") {
				t.Errorf("closed: %v", err)
			}
			other.send([]byte("there"))
			other.expect([]byte("there"))
		})
	}
}
