package trial

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/bench"
)

// Files keeps each result in a file of its own, written when its run is over: what was interrupted goes on where it was.
type Files struct {
	Dir    string
	Resume bool // take the files that are there for results; otherwise the folder has to be new
}

// ready refuses a folder with something in it, unless that is to be gone on with: results of another day must not be taken for some of
// this one, nor their document be replaced.
func (f *Files) ready() error {
	if f == nil || f.Resume {
		return nil
	}
	entries, err := os.ReadDir(f.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s holds %s from an earlier run: go on with it by --resume, or name a new folder", f.Dir, entries[0].Name())
	}
	return nil
}

// kept returns the result of a segment from its file, or runs it and writes the file. A file whose result was in vain is run once
// more, except that one which failed the verification stays: it is a finding.
func (f *Files) kept(s Segment, spec bench.Spec, allow bool, run func(bench.Spec) (*bench.Result, error)) (*bench.Result, string, error) {
	if f == nil {
		r, err := run(spec)
		return r, "", err
	}
	name := filepath.Join(fileName(s.Cell), fmt.Sprintf("%02d-%d-%d-%s.json", s.Block, s.Try, s.Place, fileName(s.Target)))
	path := filepath.Join(f.Dir, name)
	switch r, err := readResult(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, "", err
	case !sameWorkload(r.Spec, spec):
		return nil, "", fmt.Errorf("%s is of another workload than is asked for now: name a new folder", path)
	case usable(r, allow) || !r.Verdict.Intact():
		return r, name, nil
	}
	r, err := run(spec)
	if err != nil {
		return nil, "", err
	}
	return r, name, writeJSON(path, r)
}

// sameWorkload compares what was asked for. A run names its topic itself.
func sameWorkload(a, b bench.Spec) bool {
	text := func(s bench.Spec) string {
		s = s.WithDefaults()
		s.Topic = ""
		b, _ := json.Marshal(s) // plain values
		return string(b)
	}
	return text(a) == text(b)
}

func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == os.PathSeparator || r < ' ' {
			return '_'
		}
		return r
	}, s)
}

// writeJSON puts the file there whole or not at all: an interrupted run leaves no half result behind.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
