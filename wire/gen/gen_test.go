package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what its definition says: run go generate in wire (%v)", name, err)
		}
	}
	there, _ := filepath.Glob("../zz_*.go")
	for _, name := range there {
		if files[filepath.Base(name)] == nil {
			t.Errorf("%s has no definition", name)
		}
	}
}

// The notation has words for things that no definition uses yet. APIs that need them are tried here: wire is tested, against kmsg,
// as if they had been added to it.
func TestDefinitionsToCome(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles package wire a second time")
	}
	dir := t.TempDir()
	for _, from := range []string{"../messages", "testdata/messages"} {
		if err := os.CopyFS(filepath.Join(dir, "messages"), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := generate(dir)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, src := range files {
		path := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(path, src, 0o644); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(wire, name)] = path
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, list, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := "^(TestTableAndDefinitionsAgree|TestRequestsDecodeAsKmsgEncodesThem|TestResponsesEncodeAsKmsgDoes|TestVersionsWithoutACodec)$"
	cmd := exec.Command("go", "test", "-count=1", "-v", "-overlay", overlayFile, "-run", tests, ".")
	cmd.Dir = wire
	out, err := cmd.CombinedOutput()
	if err != nil {
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "=== ") && !strings.Contains(line, "--- PASS") {
				t.Logf("%.500s", line)
			}
		}
		t.Fatal(err)
	}
	for _, want := range []string{
		"PASS: TestRequestsDecodeAsKmsgEncodesThem/StreamsGroupHeartbeat/v1 ", "PASS: TestResponsesEncodeAsKmsgDoes/ShareFetch/v2 ",
		"PASS: TestRequestsDecodeAsKmsgEncodesThem/AlterClientQuotas/v0 ",
		"PASS: TestRequestsDecodeAsKmsgEncodesThem/SaslHandshake/v1 ", "PASS: TestResponsesEncodeAsKmsgDoes/SaslAuthenticate/v2 ",
		"PASS: TestRequestsDecodeAsKmsgEncodesThem/AddRaftVoter/v1 ",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("did not run: %s", want)
		}
	}
}

// A definition that says nothing, or contradicts itself, is an error with its line.
func TestDefinitionsThatAreRefused(t *testing.T) {
	const head = "api 1 X\nversions 0-5\nflexible 2+\n"
	for _, c := range []struct{ name, src, want string }{
		{"no response", head + "request\n  A int32\n", "missing"},
		{"no api", "versions 0-5\nrequest\n  A int32\n", "come before"},
		{"unknown word", head + "nonsense 5\n", "x.msg:4: \"nonsense\""},
		{"unknown type", head + "request\n  A int31\n", "x.msg:5: \"int31\" is no type"},
		{"private name", head + "request\n  a int32\n", "exported"},
		{"tabs", head + "request\n\tA int32\n", "spaces"},
		{"odd indentation", head + "request\n   A int32\n", "indented by 3"},
		{"field below no struct", head + "request\n  A int32\n    B int32\n", "below something"},
		{"struct without fields", head + "request\n  A []T\n  B int32\n", "no fields"},
		{"versions the API does not have", head + "request\n  A int32 6+\n", "versions"},
		{"versions its struct does not have", head + "request\n  A []T 3+\n    B int32 2+\n", "versions"},
		{"null in versions without the field", head + "request\n  A string 3+ null 2+\n", "null"},
		{"null number", head + "request\n  A int32 null\n", "never null"},
		{"tag before the API was flexible", head + "request\n  A int32 1+ tag 0\n", "flexible"},
		{"tags out of order", head + "request\n  A int32 2+ tag 1\n  B int32 2+ tag 1\n", "ascend"},
		{"field behind tags", head + "request\n  A int32 2+ tag 0\n  B int32\n", "behind a tagged"},
		{"default of a string", head + "request\n  A string = x\n", "default"},
		{"default that is no number", head + "request\n  A int32 = x\n", "default"},
		{"two fields of a name", head + "request\n  A int32\n  A int32\n", "two fields"},
		{"struct used more widely than spelled out", head + "request\n  A []T 3+\n    B int32\n  C []T\n", "spell it out"},
		{"arrays of arrays", head + "request\n  A [][]int32\n", "no such thing"},
		{"struct that is tagged and null", head + "request\n  A T 3+ null tag 0\n    B int32\n", "no such thing"},
		{"rubbish behind a field", head + "request\n  A int32 3+ hello\n", "hello"},
	} {
		if _, err := parse("x.msg", c.src); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}
