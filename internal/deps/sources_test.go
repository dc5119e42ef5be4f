package deps

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sources returns the non-test Go files of a folder of this module by name; none when the room does not exist yet.
func sources(t *testing.T, folder string) map[string]string {
	t.Helper()
	dir := filepath.Join("..", "..", folder)
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Join(folder, filepath.Base(name))] = string(src)
	}
	return files
}
