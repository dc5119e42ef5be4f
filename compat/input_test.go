//go:build compat

package compat

import (
	"bytes"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unicode/utf8"
)

// text is a real text: the lines of the Go installation's own sources. Empty lines are left out, because kcat does not send them,
// those beyond the largest record that clients send by default, and files that Java's line reader would not give back as they are.
var text = sync.OnceValues(func() ([]byte, error) {
	var all []byte
	err := filepath.WalkDir(filepath.Join(build.Default.GOROOT, "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return err
		}
		p, err := os.ReadFile(path)
		if err != nil || !utf8.Valid(p) || bytes.ContainsAny(p, "\r\x00") {
			return err
		}
		for line := range bytes.Lines(p) {
			if line = bytes.TrimSuffix(line, []byte("\n")); 0 < len(line) && len(line) < 100_000 {
				all = append(append(all, line...), '\n')
			}
		}
		return nil
	})
	return all, err
})

// part returns about size bytes of whole lines: the i-th of n parts, which begin at different places of the text.
func part(t *testing.T, i, n, size int) []byte {
	t.Helper()
	all, err := text()
	if err != nil || len(all) < 1<<20 {
		t.Fatalf("the Go installation has %d bytes of sources: %v", len(all), err)
	}
	from := lineAt(all, len(all)/n*i)
	p := make([]byte, 0, size+len(all))
	for len(p) < size {
		p = append(p, all[from:]...)
		from = 0
	}
	return p[:lineAt(p, size)]
}

// lineAt returns the beginning of the first line at or behind a position.
func lineAt(p []byte, position int) int {
	if position == 0 {
		return 0
	}
	return position + bytes.IndexByte(p[position-1:], 0x0a)
}
