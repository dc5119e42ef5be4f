package wire_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/wiretest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// sample is one line of testdata/kafka-4.4.0.txt.
type sample struct {
	message   wiretest.Message
	version   int16
	direction string // request, response
	kind      string // full, sparse
	body      []byte
}

func (s sample) String() string {
	return fmt.Sprintf("%s/v%d/%s/%s", s.message.Name, s.version, s.direction, s.kind)
}

func samples(t testing.TB) []sample {
	file, err := os.Open("testdata/kafka-4.4.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	byKey := map[int16]wiretest.Message{}
	for _, m := range wiretest.Messages {
		byKey[m.Key] = m
	}
	var all []sample
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		var s sample
		var key int16
		var text string
		// An empty body leaves the last column empty.
		if n, err := fmt.Sscanf(line, "%d %d %s %s %s", &key, &s.version, &s.direction, &s.kind, &text); n < 4 {
			t.Fatalf("%q: %v", line, err)
		}
		if s.body, err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
		s.message = byKey[key]
		all = append(all, s)
	}
	return all
}

// What Kafka's own classes wrote, we read as kmsg does, and write as Kafka did.
func TestBodiesWrittenByKafka(t *testing.T) {
	seen := map[string]int{}
	for _, s := range samples(t) {
		seen[fmt.Sprint(s.message.Key, s.version)]++
		t.Run(s.String(), func(t *testing.T) {
			if s.direction == "request" {
				ours, theirs := s.message.Request(), s.message.KmsgRequest(s.version)
				if err := ours.Decode(s.version, s.body); err != nil {
					t.Fatal(err)
				}
				if err := theirs.ReadFrom(s.body); err != nil {
					t.Fatal(err)
				}
				wiretest.AsKafka(theirs)
				if err := wiretest.Same(ours, theirs); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got := reencode(t, s); !bytes.Equal(got, s.body) {
				t.Fatalf("\n got %x\nwant %x", got, s.body)
			}
		})
	}
	for _, m := range wiretest.Messages {
		for v := m.Min; v <= m.Max; v++ {
			if n := seen[fmt.Sprint(m.Key, v)]; n != 4 {
				t.Errorf("%s v%d has %d samples, want 4", m.Name, v, n)
			}
		}
	}
}

// reencode is a response as kmsg read it and we write it.
func reencode(t *testing.T, s sample) []byte {
	t.Helper()
	theirs, ours := s.message.KmsgResponse(s.version), s.message.Response()
	if err := theirs.ReadFrom(s.body); err != nil {
		t.Fatal(err)
	}
	records, err := wiretest.Set(ours, theirs)
	if err != nil {
		t.Fatal(err)
	}
	out, holes := s.message.Append(ours, s.version, nil)
	return wiretest.Insert(out, holes, records)
}

// The golden files show, for the first, the first flexible and the last version of each API, which bytes mean what to us. The
// values count up in the order of the wire, so that a field that was read from its neighbour's place is seen at once.
func TestGoldenFiles(t *testing.T) {
	got := map[string]*bytes.Buffer{}
	flexible := map[int16]int16{}
	for _, a := range wire.APIs {
		flexible[a.Key] = a.Flexible
	}
	for _, s := range samples(t) {
		m := s.message
		if s.kind != "full" || s.version != m.Min && s.version != m.Max && s.version != flexible[m.Key] {
			continue
		}
		name := fmt.Sprintf("%02d_%s.txt", m.Key, strings.ToLower(m.Name))
		if got[name] == nil {
			got[name] = &bytes.Buffer{}
		}
		fmt.Fprintf(got[name], "%s v%d\n", s.direction, s.version)
		for rest := s.body; len(rest) > 0; {
			n := min(len(rest), 60)
			fmt.Fprintf(got[name], "%x\n", rest[:n])
			rest = rest[n:]
		}
		fmt.Fprintf(got[name], "----\n")
		var message any
		if s.direction == "request" {
			r := m.Request()
			if err := r.Decode(s.version, s.body); err != nil {
				t.Fatalf("%v: %v", s, err)
			}
			message = r
		} else {
			theirs := m.KmsgResponse(s.version)
			if err := theirs.ReadFrom(s.body); err != nil {
				t.Fatalf("%v: %v", s, err)
			}
			message = m.Response()
			if _, err := wiretest.Set(message, theirs); err != nil {
				t.Fatalf("%v: %v", s, err)
			}
		}
		dump(got[name], "", reflect.ValueOf(message).Elem())
		fmt.Fprintln(got[name])
	}
	for name, text := range got {
		path := filepath.Join("testdata", "golden", name)
		if *rewrite {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text.Bytes(), want) {
			t.Errorf("%s is not what is decoded now (go test ./wire -rewrite, and read the diff)\n%s", path, text)
		}
	}
}

// dump writes a message one field a line.
func dump(w *bytes.Buffer, indent string, v reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			fmt.Fprintf(w, "%s%s", indent, v.Type().Field(i).Name)
			dumpValue(w, indent, v.Field(i))
		}
	}
}

func dumpValue(w *bytes.Buffer, indent string, v reflect.Value) {
	switch x := v.Interface().(type) {
	case wire.NullString:
		if x.Valid {
			fmt.Fprintf(w, " %q\n", x.Value)
		} else {
			fmt.Fprintln(w, " null")
		}
		return
	case wire.UUID:
		fmt.Fprintf(w, " %v\n", x)
		return
	case wire.Code:
		fmt.Fprintf(w, " %d\n", x)
		return
	case []byte:
		fmt.Fprintf(w, " %q\n", x)
		return
	}
	switch {
	case v.Kind() == reflect.Slice && v.IsNil():
		fmt.Fprintln(w, " []")
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		fmt.Fprintln(w)
		for i := range v.Len() {
			fmt.Fprintf(w, "%s  %d\n", indent, i)
			dump(w, indent+"    ", v.Index(i))
		}
	case v.Kind() == reflect.Struct:
		fmt.Fprintln(w)
		dump(w, indent+"  ", v)
	case v.Kind() == reflect.Pointer && v.IsNil():
		fmt.Fprintln(w, " -")
	case v.Kind() == reflect.Pointer:
		dumpValue(w, indent, v.Elem())
	case v.Kind() == reflect.String:
		fmt.Fprintf(w, " %q\n", v.String())
	default:
		fmt.Fprintf(w, " %v\n", v)
	}
}
