// Gen writes the codecs of package wire from the definitions in wire/messages; the package comment of wire explains the
// notation. Run it with go generate in wire. For messages/00_produce.msg it writes zz_00_produce.go, and for all of them zz_apis.go and
// the table that the tests walk, wiretest/zz_messages.go.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run brings the zz_ files of the wire folder up to date.
func run(dir string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "zz_*.go"))
	if err != nil {
		return err
	}
	for _, name := range old { // of definitions that are gone
		if _, keep := files[filepath.Base(name)]; !keep {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	for name, src := range files {
		if err := os.WriteFile(filepath.Join(dir, name), src, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the generated files of the wire folder by name.
func generate(dir string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "messages", "*.msg"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no definitions in %s", filepath.Join(dir, "messages"))
	}
	files := map[string][]byte{}
	var apis []*api
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		a, err := parse(filepath.Base(name), string(src))
		if err != nil {
			return nil, err
		}
		apis = append(apis, a)
		file := "zz_" + strings.TrimSuffix(filepath.Base(name), ".msg") + ".go"
		if files[file], err = emitAPI(a); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	slices.SortFunc(apis, func(a, b *api) int { return a.key - b.key })
	for i, a := range apis[1:] {
		if a.key == apis[i].key {
			return nil, fmt.Errorf("%s and %s have the same key", apis[i].file, a.file)
		}
	}
	if files["zz_apis.go"], err = emitTable(apis); err != nil {
		return nil, err
	}
	files["wiretest/zz_messages.go"], err = emitMessages(apis)
	return files, err
}
