// Package deps keeps the table of rooms: which folder may import which other folder of this module.
// It holds no code, only the test.
package deps

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace/"

// room is a folder (with everything below it that has no row of its own) and what it may import beside floor 0.
// Imports point down the table, never up, never sideways. Floor 0 is open to everyone.
type room struct {
	floor   int
	folder  string
	imports string // space separated; "*" is any lower floor
}

var rooms = []room{
	{9, "e2e", ""},    // the real binary, from outside, over TCP
	{9, "compat", ""}, // other people's clients against the real binary
	{9, "crash", ""},  // the real binary, killed
	{9, "fuzz", "*"},  // fuzz targets of every decoder
	{7, "internal/sim", "*"},
	{8, "cmd/millrace", "* bench"},
	{7, "internal/console", "broker"},
	{6, "broker", "*"},
	{5, "internal/coord", "replica group txn"},
	{4, "replica", "engine segment meta internal/peer"},
	{4, "quorum", "meta engine internal/peer"},
	{3, "engine", "segment index"},
	{3, "internal/peer", "netio internal/auth"},
	{2, "segment", "index"},
	{2, "group", "meta"},
	{2, "txn", "meta"},
	{2, "internal/auth", "meta"},
	{1, "index", ""},
	{1, "meta", ""},
	{1, "netio", ""},
	{0, "wire", ""},
	{0, "internal/config", ""},
	{0, "internal/metric", ""},
	{0, "internal/invariant", ""},
	{0, "internal/vfs", ""},
	{0, "internal/deps", ""},
	{8, "bench", ""}, // sees a broker only over TCP; may use wire for pre-encoded batches
}

func roomOf(pkg string) *room {
	var best *room
	for i, r := range rooms {
		if (pkg == r.folder || strings.HasPrefix(pkg, r.folder+"/")) && (best == nil || len(r.folder) > len(best.folder)) {
			best = &rooms[i]
		}
	}
	return best
}

func (r *room) may(to *room) bool {
	if r == to || to.floor == 0 {
		return true
	}
	allowed := strings.Fields(r.imports)
	if slices.Contains(allowed, to.folder) {
		return true
	}
	return slices.Contains(allowed, "*") && to.floor < r.floor && to.folder != "bench"
}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 5 {
		t.Fatalf("go list named only %d packages", len(lines))
	}
	for _, line := range lines {
		path, imports, _ := strings.Cut(line, ":")
		from := roomOf(strings.TrimPrefix(path, module))
		if from == nil {
			t.Errorf("%s has no row in the table of rooms: add one here and in ARCHITECTURE.md", path)
			continue
		}
		for imp := range strings.FieldsSeq(imports) {
			name, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			if to := roomOf(name); to == nil || !from.may(to) {
				t.Errorf("%s (floor %d) must not import %s", from.folder, from.floor, name)
			}
		}
	}
}

// The user fixed gnet's version: netio reads fields of gnet's own types by reflection.
func TestGnetIsPinned(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/panjf2000/gnet/v2").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	if got := strings.TrimSpace(string(out)); got != "v2.9.8" {
		t.Errorf("gnet is %s, must stay at v2.9.8", got)
	}
}

// Rooms that decide are pure: what they need of time, chance and files arrives as arguments (DESIGN D12).
func TestDecidingRoomsArePure(t *testing.T) {
	forbidden := []string{"time.Now(", "time.Since(", "time.After(", "time.NewTimer(", "time.NewTicker(", "time.Sleep(", "rand.Int", "\tgo func", "\tgo "}
	driver := filepath.Join("quorum", "quorum.go") // the goroutine and the clock around a voter, who is as pure as the rest
	for _, folder := range []string{"meta", "group", "txn", "quorum", "engine", "segment", "replica"} {
		for name, src := range sources(t, folder) {
			if name == driver {
				continue
			}
			for i, line := range strings.Split(src, "\n") {
				code, _, _ := strings.Cut(line, "//")
				for _, bad := range forbidden {
					if strings.Contains(code, bad) {
						t.Errorf("%s:%d: %q: this room takes it as an argument", name, i+1, strings.TrimSpace(bad))
					}
				}
			}
		}
	}
}
