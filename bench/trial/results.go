package trial

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/bench"
)

// ResultsSchema is that of several results in one document.
const ResultsSchema = "millrace.bench.results/v1"

// Results are several in one document.
type Results struct {
	Schema  string          `json:"schema"`
	Results []*bench.Result `json:"results"`
}

// ReadResults reads a file with one result or several, or every such file in a folder and the folders below. Other
// documents of the bench in a folder (a suite's, a comparison's) are passed over.
func ReadResults(path string) (all []*bench.Result, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		all, err = resultsIn(path)
	default:
		err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(p) != ".json" {
				return err
			}
			some, err := resultsIn(p)
			all = append(all, some...)
			return err
		})
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s holds no results: they are what `millrace bench run --json FILE` writes", path)
	}
	return all, err
}

func resultsIn(path string) (all []*bench.Result, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	raw := []json.RawMessage{data}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		if err := json.Unmarshal(data, &raw); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, one := range raw {
		var head struct{ Schema string }
		if err := json.Unmarshal(one, &head); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if head.Schema == ResultsSchema {
			var several Results
			if err := json.Unmarshal(one, &several); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			all = append(all, several.Results...)
			continue
		}
		if head.Schema != bench.ResultSchema {
			if strings.HasPrefix(head.Schema, "millrace.bench.") {
				continue
			}
			return nil, fmt.Errorf("%s: schema %q, want %q", path, head.Schema, bench.ResultSchema)
		}
		r := new(bench.Result)
		if err := json.Unmarshal(one, r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// readResult reads a file that holds one result.
func readResult(path string) (*bench.Result, error) {
	all, err := resultsIn(path)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%s holds %d results, want 1", path, len(all))
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}
