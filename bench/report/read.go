package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/trial"
)

// Read takes files that the bench wrote (a result or several, a comparison, a sweep, a suite), or every such file in a folder and those
// below. Other JSON in a folder is passed over; a file that was named has to be one of the bench's.
func Read(paths ...string) (d Document, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return d, err
		}
		if !info.IsDir() {
			if err := d.read(path); err != nil {
				return d, fmt.Errorf("%s: %w", path, err)
			}
			continue
		}
		err = filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(file) != ".json" {
				return err
			}
			if err := d.read(file); err != nil && !errors.Is(err, errOther) {
				return fmt.Errorf("%s: %w", file, err)
			}
			return nil
		})
		if err != nil {
			return d, err
		}
	}
	if len(d.Results)+len(d.Comparisons)+len(d.Sweeps) == 0 {
		return d, fmt.Errorf("%s: there is no result in it; `millrace bench run --json FILE` writes one", strings.Join(paths, ", "))
	}
	return d, nil
}

var errOther = errors.New("not a document of the bench: its schema begins with millrace.bench")

func (d *Document) read(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var head struct{ Schema string }
	if json.Unmarshal(text, &head) != nil {
		return errOther
	}
	switch head.Schema {
	case bench.ResultSchema:
		d.Results = append(d.Results, new(bench.Result))
		return json.Unmarshal(text, d.Results[len(d.Results)-1])
	case trial.ResultsSchema:
		var several trial.Results
		err = json.Unmarshal(text, &several)
		d.Results = append(d.Results, several.Results...)
		return err
	case trial.ComparisonSchema:
		c := new(trial.Comparison)
		if err := json.Unmarshal(text, c); err != nil {
			return err
		}
		d.Comparisons = append(d.Comparisons, c)
		return fill(c.Segments, filepath.Dir(file))
	case trial.SweepSchema:
		d.Sweeps = append(d.Sweeps, new(trial.Swept))
		return json.Unmarshal(text, d.Sweeps[len(d.Sweeps)-1])
	case trial.SuiteSchema:
		s := new(trial.SuiteResult)
		if err := json.Unmarshal(text, s); err != nil {
			return err
		}
		return d.suite(s, filepath.Dir(file))
	}
	return fmt.Errorf("%w (%q)", errOther, head.Schema)
}

// suite takes a suite apart: its comparisons get back the segments that they were made from.
func (d *Document) suite(s *trial.SuiteResult, dir string) error {
	d.Suites = append(d.Suites, s)
	for _, cell := range s.Cells {
		if err := fill(cell.Segments, dir); err != nil {
			return err
		}
		for _, c := range cell.Compared {
			c.Segments = cell.Segments
			if len(c.Command) == 0 {
				c.Command = s.Command
			}
		}
		d.Comparisons = append(d.Comparisons, cell.Compared...)
		for _, segment := range cell.Segments {
			if segment.Result != nil {
				d.Results = append(d.Results, segment.Result)
			}
		}
	}
	return nil
}

// fill reads the results of segments that only say where they are.
func fill(segments []trial.Segment, dir string) error {
	for i, s := range segments {
		if s.Result != nil || s.File == "" {
			continue
		}
		if !filepath.IsLocal(s.File) {
			return fmt.Errorf("a segment's file is %s, which is not below %s", s.File, dir)
		}
		text, err := os.ReadFile(filepath.Join(dir, s.File))
		if err != nil {
			return err
		}
		segments[i].Result = new(bench.Result)
		if err := json.Unmarshal(text, segments[i].Result); err != nil {
			return fmt.Errorf("%s: %w", s.File, err)
		}
	}
	return nil
}

// All are the runs in it, each once.
func (d *Document) All() (all []*bench.Result) {
	seen := map[string]bool{}
	see := func(r *bench.Result) {
		if once := identity(r); !seen[once] {
			seen[once] = true
			all = append(all, r)
		}
	}
	for _, r := range d.Results {
		see(r)
	}
	for _, c := range d.Comparisons {
		for _, s := range c.Segments {
			if s.Result != nil {
				see(s.Result)
			}
		}
	}
	for _, s := range d.Sweeps {
		for _, p := range s.Points {
			see(p.Result)
		}
	}
	return all
}

// identity tells runs apart: no two begin at one moment with one workload on one target.
func identity(r *bench.Result) string {
	cell, target := name(r)
	return fmt.Sprint(r.Started.UnixNano(), " ", r.Spec.Topic, " ", r.Spec.Seed, " ", cell, " ", target)
}
