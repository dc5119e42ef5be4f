package main

import "fmt"

func (e *emitter) decodeRoot(st *structure) {
	a := e.api
	e.p("// Decode reads the body of a request. Every field is set; what is longer than the request is ignored.")
	e.p("func (x *%s) Decode(version int16, body []byte) error {", st.name)
	e.p("if version < %d || version > %d {\nreturn unsupported(%q, version)\n}", a.served.lo, a.served.hi, a.name)
	if keeps(st) {
		e.dropMuch(st)
	}
	e.p("d := newDecoder(body)\nx.decode(&d, version)")
	e.p("return d.finish(%q, version)\n}\n", a.name)
}

func (e *emitter) decode(st *structure) {
	e.p("func (x *%s) decode(d *decoder, version int16) {", st.name)
	e.body(st, func() {
		tagged := false
		for _, f := range st.fields {
			if f.tag >= 0 {
				tagged = true
				e.p("%s", e.reset(st, f))
				continue
			}
			e.when(f.in, st.in, func() { e.read(st, f) }, e.reset(st, f))
		}
		flexible := e.flex(st.in)
		if flexible == "false" {
			return
		}
		if flexible == "flex" {
			e.p("if flex {")
		}
		if tagged {
			e.readTags(st)
		} else {
			e.p("d.skipTags()")
		}
		if flexible == "flex" {
			e.p("}")
		}
	})
	e.p("}\n")
}

func (e *emitter) readTags(st *structure) {
	e.p("for n := d.tagCount(); n > 0 && d.err == nil; n-- {")
	e.p("switch tag, end := d.enterTag(); {")
	within := span{max(st.in.lo, e.api.flexible), st.in.hi}
	for _, f := range st.fields {
		if f.tag < 0 {
			continue
		}
		if c := condition(f.in, within); c == "true" {
			e.p("case tag == %d:", f.tag)
		} else {
			e.p("case tag == %d && %s:", f.tag, c)
		}
		e.read(st, f)
		e.p("d.leaveTag(end)")
	}
	e.p("default:\nd.skipTag(end)\n}\n}")
}

// read reads one field that is there.
func (e *emitter) read(st *structure, f *field) {
	x := "x." + f.name
	switch {
	case f.pointer(st):
		e.p("if !d.present() {\n%s = nil\n} else {", x)
		e.p("if %s == nil {\n%s = new(%s)\n}", x, x, f.typ.goType())
		e.p("%s.decode(d, version)\n}", x)
	case f.typ.kind == "string" && !f.null.empty():
		e.p("%s = d.nullString%s(%s, %s)", x, e.view(), e.flex(f.in), condition(f.null, f.in))
	case f.typ.kind == "array":
		e.readArray(x, f.typ.elem, f.in, condition(f.null, f.in))
	case f.typ.kind == "records":
		e.p("%s = d.bytesView(%s, %s)", x, e.flex(f.in), condition(f.null, f.in))
	case f.typ.kind == "bytes":
		e.p("%s = d.bytes%s(%s, %s)", x, e.view(), e.flex(f.in), condition(f.null, f.in))
	default:
		e.readValue(x, f.typ, f.in)
	}
}

func (e *emitter) view() string {
	if e.api.views {
		return "View"
	}
	return ""
}

// readValue reads what can be an array's element: never null.
func (e *emitter) readValue(x string, t *typ, in span) {
	switch t.kind {
	case "struct":
		e.p("%s.decode(d, version)", x)
	case "string":
		e.p("%s = d.string%s(%s)", x, e.view(), e.flex(in))
	case "bytes":
		e.p("%s = d.bytes%s(%s, false)", x, e.view(), e.flex(in))
	default:
		e.p("%s = d.%s()", x, t.kind)
	}
}

func (e *emitter) readArray(x string, elem *typ, in span, null string) {
	count := fmt.Sprintf("d.count(%s, %s, %s)", e.flex(in), null, e.min(elem, in))
	if null == "false" {
		e.p("%s = %s[:0]", x, x)
		e.p("for i, n := 0, %s; i < n && d.err == nil; i++ {", count)
	} else {
		e.p("if n := %s; n < 0 {\n%s = nil\n} else {\n%s = empty(%s)", count, x, x, x)
		e.p("for i := 0; i < n && d.err == nil; i++ {")
	}
	e.p("if %s = extend(d, %s, n); d.err != nil {\nbreak\n}", x, x)
	e.readValue(x+"[i]", elem, in)
	e.p("}")
	if null != "false" {
		e.p("}")
	}
}

// min is the Go expression of the smallest size an element can have on the wire.
func (e *emitter) min(t *typ, in span) string {
	same, size := true, e.sizeOf(t, in.lo)
	for v := in.lo; v <= in.hi; v++ {
		same = same && e.sizeOf(t, v) == size
	}
	switch {
	case same:
		return fmt.Sprint(size)
	case t.kind == "struct":
		return fmt.Sprintf("min%s(version)", t.strct.name)
	default:
		return fmt.Sprintf("minLength(flex, %d)", size)
	}
}

// sizeOf is the smallest size of a type on the wire.
func (e *emitter) sizeOf(t *typ, version int) int {
	compact := version >= e.api.flexible
	switch t.kind {
	case "array", "string", "bytes", "records":
		switch {
		case compact:
			return 1
		case t.kind == "string":
			return 2
		default:
			return 4
		}
	case "struct":
		size := 0
		for _, f := range t.strct.fields {
			switch {
			case !f.in.has(version) || f.tag >= 0:
			case f.typ.kind == "struct" && !f.null.empty():
				size++
			default:
				size += e.sizeOf(f.typ, version)
			}
		}
		if compact {
			size++ // the count of tagged fields
		}
		return size
	default:
		return primitives[t.kind]
	}
}

// minSize writes the function that e.min refers to, where the size depends on the version.
func (e *emitter) minSize(st *structure) {
	t := &typ{kind: "struct", strct: st}
	if st == e.api.request || e.min(t, st.in) != fmt.Sprintf("min%s(version)", st.name) || !e.element(st) {
		return
	}
	e.p("func min%s(version int16) int {\nswitch {", st.name)
	for v := st.in.lo; v <= st.in.hi; v++ {
		if v == st.in.hi {
			e.p("default:\nreturn %d", e.sizeOf(t, v))
		} else if size := e.sizeOf(t, v); size != e.sizeOf(t, v+1) {
			e.p("case version <= %d:\nreturn %d", v, size)
		}
	}
	e.p("}\n}\n")
}

// element tells whether st is an array's element anywhere, and its size so of interest.
func (e *emitter) element(st *structure) bool {
	for _, in := range structures(e.api.request) {
		for _, f := range in.fields {
			if f.typ.kind == "array" && f.typ.base().strct == st {
				return true
			}
		}
	}
	return false
}
