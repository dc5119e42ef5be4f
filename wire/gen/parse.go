package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// api is one definition file.
type api struct {
	file, name, doc   string
	key               int
	served, advertise span
	flexible          int // first flexible version; never when there is none
	views             bool
	request, response *structure
}

const never = 1<<15 - 1 // beyond every version

// span is a range of versions, both ends inclusive; empty when lo > hi.
type span struct{ lo, hi int }

func (s span) has(v int) bool     { return s.lo <= v && v <= s.hi }
func (s span) covers(t span) bool { return s.lo <= t.lo && t.hi <= s.hi }
func (s span) empty() bool        { return s.lo > s.hi }
func (s span) and(t span) span    { return span{max(s.lo, t.lo), min(s.hi, t.hi)} }
func (s span) String() string     { return fmt.Sprintf("%d-%d", s.lo, s.hi) }

// structure is a message or a struct in one.
type structure struct {
	name     string // Go's, exported
	doc      string
	fields   []*field
	in       span // versions in which it occurs
	response bool
}

type field struct {
	name, doc string
	typ       *typ
	in        span // versions that have it
	null      span // versions in which it may be null; empty if none
	tag       int  // -1: not tagged
	def       string
}

// typ is a primitive (kind is its name), an array (elem) or a struct.
type typ struct {
	kind  string // "array", "struct" or a primitive
	elem  *typ
	strct *structure
}

// primitives and their size on the wire; those with a length in front have its size when not compact, and 1 when compact.
var primitives = map[string]int{
	"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16, "code": 2,
	"string": 2, "bytes": 4, "records": 4,
}

var (
	rangeForm = regexp.MustCompile(`^(?:(\d+)\+|-(\d+)|(\d+)-(\d+)|(\d+))$`)
	nameForm  = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
)

// parseSpan reads 3+, -12, 8-10 or 4 within the versions given.
func parseSpan(s string, within span) (span, bool) {
	m := rangeForm.FindStringSubmatch(s)
	if m == nil {
		return span{}, false
	}
	number := func(i int) int { n, _ := strconv.Atoi(m[i]); return n }
	switch {
	case m[1] != "":
		return span{number(1), within.hi}, true
	case m[2] != "":
		return span{within.lo, number(2)}, true
	case m[3] != "":
		return span{number(3), number(4)}, true
	default:
		return span{number(5), number(5)}, true
	}
}

// parser reads one file, line by line.
type parser struct {
	api   *api
	lines []string
	at    int
	named map[string]*structure // structs of this section
	kind  string                // Request or Response
}

func parse(file, src string) (*api, error) {
	p := &parser{api: &api{file: file, key: -1, flexible: -1}, lines: strings.Split(src, "\n")}
	if err := p.file(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, p.at+1, err)
	}
	return p.api, nil
}

// split returns a line's depth, words and comment.
func split(line string) (depth int, words []string, comment string, err error) {
	line, comment, _ = strings.Cut(line, "#")
	body := strings.TrimLeft(line, " ")
	indent := len(line) - len(body)
	if strings.Contains(line, "\t") {
		return 0, nil, "", fmt.Errorf("indent and align with spaces")
	}
	words = strings.Fields(body)
	if len(words) > 0 && indent%2 != 0 {
		return 0, nil, "", fmt.Errorf("indented by %d spaces, not by two for each level", indent)
	}
	return indent / 2, words, strings.TrimSpace(comment), nil
}

func (p *parser) file() error {
	a := p.api
	var doc []string
	for p.at = 0; p.at < len(p.lines); p.at++ {
		depth, words, comment, err := split(p.lines[p.at])
		if err != nil {
			return err
		}
		if len(words) == 0 {
			if comment != "" && a.name == "" {
				doc = append(doc, comment)
			}
			continue
		}
		if depth != 0 {
			return fmt.Errorf("a field outside request and response")
		}
		ok := len(words) == 2
		switch words[0] {
		case "api":
			if len(words) != 3 {
				return fmt.Errorf("want: api KEY NAME")
			}
			if a.key, err = strconv.Atoi(words[1]); err != nil {
				return err
			}
			a.name, a.doc, ok = words[2], strings.Join(doc, "\n"), true
		case "versions":
			if ok {
				a.served, ok = parseSpan(words[1], span{0, never})
				a.advertise = a.served
			}
		case "advertised":
			if ok {
				a.advertise, ok = parseSpan(words[1], span{0, never})
			}
		case "flexible":
			switch {
			case ok && words[1] == "none":
				a.flexible = never
			case ok:
				var s span
				s, ok = parseSpan(words[1], span{0, never})
				a.flexible = s.lo
			}
		case "views":
			a.views, ok = true, len(words) == 1
		case "request", "response":
			if a.name == "" || a.key < 0 || a.served.hi == 0 && a.served.lo != 0 || a.flexible < 0 {
				return fmt.Errorf("api, versions and flexible come before %s", words[0])
			}
			root, err := p.section(words[0])
			if err != nil {
				return err
			}
			if words[0] == "request" {
				a.request = root
			} else {
				a.response = root
			}
			ok = true
		default:
			return fmt.Errorf("%q is not a word of this notation", words[0])
		}
		if !ok {
			return fmt.Errorf("cannot read %q", strings.TrimSpace(p.lines[p.at]))
		}
	}
	if a.request == nil || a.response == nil {
		return fmt.Errorf("request or response is missing")
	}
	return nil
}

// section reads the fields of a request or response; p.at is left on the last line of it.
func (p *parser) section(kind string) (*structure, error) {
	p.kind = strings.ToUpper(kind[:1]) + kind[1:]
	p.named = map[string]*structure{}
	root := &structure{name: goName(p.api.name) + p.kind, doc: p.api.doc, in: p.api.served, response: kind == "response"}
	p.at++
	if err := p.fields(root, 1); err != nil {
		return nil, err
	}
	p.at-- // the caller's loop steps over the line that ended the section
	return root, nil
}

// fields reads the fields of st, which are indented by depth.
func (p *parser) fields(st *structure, depth int) error {
	for ; p.at < len(p.lines); p.at++ {
		d, words, comment, err := split(p.lines[p.at])
		switch {
		case err != nil:
			return err
		case len(words) == 0:
			continue
		case d < depth:
			return p.check(st, depth)
		case d > depth:
			return fmt.Errorf("%s is indented below something that is no struct", words[0])
		}
		f, err := p.field(st, words)
		if err != nil {
			return err
		}
		f.doc = comment
		st.fields = append(st.fields, f)

		base := f.typ
		for base.kind == "array" {
			base = base.elem
		}
		if base.kind != "struct" {
			continue
		}
		word := base.strct.name
		if known := p.named[word]; known != nil {
			if !known.in.covers(f.in) {
				return fmt.Errorf("%s was spelled out for versions %v and is used in %v: spell it out where it is wider", word, known.in, f.in)
			}
			base.strct = known
			continue
		}
		inner := base.strct
		inner.name = goName(p.api.name) + p.kind + word
		inner.in, inner.response = f.in, st.response
		p.named[word] = inner
		p.at++
		if err := p.fields(inner, depth+1); err != nil {
			return err
		}
		p.at-- // the loop steps over the line that ended the struct otherwise
	}
	return p.check(st, depth)
}

func (p *parser) check(st *structure, depth int) error {
	if len(st.fields) == 0 && depth > 1 { // a message may be empty
		return fmt.Errorf("struct %s has no fields", st.name)
	}
	seen := map[string]bool{}
	tag := -1
	for _, f := range st.fields {
		if seen[f.name] {
			return fmt.Errorf("%s has two fields %s", st.name, f.name)
		}
		seen[f.name] = true
		switch {
		case f.tag < 0 && tag >= 0:
			return fmt.Errorf("%s.%s stands behind a tagged field", st.name, f.name)
		case f.tag >= 0 && f.tag <= tag:
			return fmt.Errorf("%s.%s: tags ascend", st.name, f.name)
		case f.tag >= 0 && f.in.lo < p.api.flexible:
			return fmt.Errorf("%s.%s: tagged fields need a flexible version", st.name, f.name)
		}
		tag = f.tag
	}
	return nil
}

// field reads: Name type [versions] [null [versions]] [tag N] [= default]
func (p *parser) field(st *structure, words []string) (*field, error) {
	if len(words) < 2 {
		return nil, fmt.Errorf("want NAME TYPE and what else there is to say")
	}
	f := &field{name: words[0], in: st.in, null: span{1, 0}, tag: -1}
	if !nameForm.MatchString(f.name) {
		return nil, fmt.Errorf("%q is not an exported name", f.name)
	}
	var err error
	if f.typ, err = parseType(words[1]); err != nil {
		return nil, err
	}
	rest := words[2:]
	next := func() (w string) {
		if len(rest) > 0 {
			w, rest = rest[0], rest[1:]
		}
		return w
	}
	if len(rest) > 0 {
		if s, ok := parseSpan(rest[0], st.in); ok {
			next()
			if f.in = s.and(st.in); f.in != s || s.empty() {
				return nil, fmt.Errorf("%s is in versions %v, what it is part of in %v", f.name, s, st.in)
			}
		}
	}
	for len(rest) > 0 {
		switch w := next(); w {
		case "null":
			f.null = f.in
			if len(rest) > 0 {
				if s, ok := parseSpan(rest[0], f.in); ok {
					next()
					if f.null = s.and(f.in); f.null != s || s.empty() {
						return nil, fmt.Errorf("%s may be null in versions %v, but is in %v", f.name, s, f.in)
					}
				}
			}
		case "tag":
			if f.tag, err = strconv.Atoi(next()); err != nil || f.tag < 0 {
				return nil, fmt.Errorf("%s: tag wants a number", f.name)
			}
		case "=":
			if f.def = next(); f.def == "" {
				return nil, fmt.Errorf("%s: = wants a value", f.name)
			}
		default:
			return nil, fmt.Errorf("%s: cannot read %q", f.name, w)
		}
	}
	return f, f.check()
}

func (f *field) check() error {
	switch f.typ.kind {
	case "string", "bytes", "records", "array", "struct":
		if f.def != "" {
			return fmt.Errorf("%s: only numbers and bools have a default to choose", f.name)
		}
	case "bool":
		if f.def != "" && f.def != "true" && f.def != "false" {
			return fmt.Errorf("%s: %q is not a bool", f.name, f.def)
		}
	default:
		if !f.null.empty() {
			return fmt.Errorf("%s: %s is never null", f.name, f.typ.kind)
		}
		if _, err := strconv.ParseFloat(f.def, 64); f.def != "" && (err != nil || f.typ.kind == "uuid") {
			return fmt.Errorf("%s: %q is no default of %s", f.name, f.def, f.typ.kind)
		}
	}
	if f.typ.kind == "struct" && !f.null.empty() && f.null != f.in {
		return fmt.Errorf("%s: a struct may be null in all versions or in none", f.name)
	}
	if f.tag >= 0 && (f.typ.kind == "records" || f.typ.kind == "struct" && !f.null.empty()) {
		return fmt.Errorf("%s: this cannot be tagged; Kafka has no such thing", f.name)
	}
	return nil
}

func parseType(s string) (*typ, error) {
	if elem, ok := strings.CutPrefix(s, "[]"); ok {
		t, err := parseType(elem)
		if err == nil && (t.kind == "records" || t.kind == "array") {
			err = fmt.Errorf("%s cannot be elements; Kafka has no such thing", elem)
		}
		return &typ{kind: "array", elem: t}, err
	}
	if _, ok := primitives[s]; ok {
		return &typ{kind: s}, nil
	}
	if nameForm.MatchString(s) {
		return &typ{kind: "struct", strct: &structure{name: s}}, nil
	}
	return nil, fmt.Errorf("%q is no type", s)
}

// goName is Kafka's name of an API as a Go name: InitProducerId is InitProducerID.
func goName(s string) string {
	return regexp.MustCompile(`Id([A-Z]|$)`).ReplaceAllString(s, "ID$1")
}
