package main

import "strings"

func (e *emitter) appendRoot(st *structure) {
	if holes(st) {
		e.p("// Append encodes the response behind dst, without the records: for each that is not empty, the position in out at which")
		e.p("// RecordsSize bytes have to be inserted is appended to holes, in ascending order.")
		e.p("func (x *%s) Append(version int16, dst []byte, holes []int) (out []byte, outHoles []int) {", st.name)
		e.p("return x.encode(dst, holes, version)\n}\n")
		return
	}
	e.p("// Append encodes the response behind dst.")
	e.p("func (x *%s) Append(version int16, dst []byte) []byte { return x.encode(dst, version) }\n", st.name)
}

func (e *emitter) encode(st *structure) {
	withHoles := holes(st)
	if withHoles {
		e.p("func (x *%s) encode(dst []byte, holes []int, version int16) ([]byte, []int) {", st.name)
	} else {
		e.p("func (x *%s) encode(dst []byte, version int16) []byte {", st.name)
	}
	e.body(st, func() {
		var tagged []*field
		for _, f := range st.fields {
			if f.tag >= 0 {
				tagged = append(tagged, f)
				continue
			}
			e.when(f.in, st.in, func() { e.write(st, f) }, "")
		}
		flexible := e.flex(st.in)
		if flexible == "false" {
			return
		}
		if flexible == "flex" {
			e.p("if flex {")
		}
		e.writeTags(st, tagged)
		if flexible == "flex" {
			e.p("}")
		}
	})
	if withHoles {
		e.p("return dst, holes\n}\n")
	} else {
		e.p("return dst\n}\n")
	}
}

func (e *emitter) writeTags(st *structure, tagged []*field) {
	if len(tagged) == 0 {
		e.p("dst = append(dst, 0)")
		return
	}
	within := span{max(st.in.lo, e.api.flexible), st.in.hi}
	worth := func(f *field) string {
		c := e.set(st, f)
		if v := condition(f.in, within); v != "true" {
			c = v + " && " + c
		}
		return c
	}
	e.p("tags := byte(0)")
	for _, f := range tagged {
		e.p("if %s {\ntags++\n}", worth(f))
	}
	e.p("dst = append(dst, tags)")
	e.p("if tags > 0 {\nvar mark int")
	for _, f := range tagged {
		e.p("if %s {", worth(f))
		e.p("dst, mark = openTag(dst, %d)", f.tag)
		if f.pointer(st) { // there is no byte in front that says so
			e.writeValue("x."+f.name, f.typ, f.in)
		} else {
			e.write(st, f)
		}
		e.p("dst = closeTag(dst, mark)\n}")
	}
	e.p("}")
}

// set is the Go expression that tells whether a tagged field differs from its default.
func (e *emitter) set(st *structure, f *field) string {
	x := "x." + f.name
	switch {
	case f.pointer(st):
		return x + " != nil"
	case f.typ.kind == "array" && f.null.empty():
		return "len(" + x + ") > 0"
	case f.typ.kind == "array" || f.typ.kind == "bytes" && !f.null.empty():
		return x + " != nil"
	case f.typ.kind == "bytes":
		return "len(" + x + ") > 0"
	case f.typ.kind == "string" && f.null.empty():
		return x + ` != ""`
	case f.typ.kind == "string":
		return x + ".Valid"
	case f.typ.kind == "uuid":
		return x + " != UUID{}"
	case f.typ.kind == "bool":
		if f.def == "true" {
			return "!" + x
		}
		return x
	default:
		return x + " != " + or(f.def, "0")
	}
}

// write writes one field of the version.
func (e *emitter) write(st *structure, f *field) {
	x := "x." + f.name
	null := condition(f.null, f.in)
	switch {
	case f.typ.kind == "records":
		e.p("dst, holes = appendHole(dst, holes, x.%s, %s)", f.goName(st), e.flex(f.in))
	case f.pointer(st):
		e.p("if %s == nil {\ndst = append(dst, 0xff)\n} else {\ndst = append(dst, 1)", x)
		e.writeValue(x, f.typ, f.in)
		e.p("}")
	case f.typ.kind == "string" && null != "false":
		e.p("dst = appendNullString(dst, %s, %s, %s)", x, e.flex(f.in), null)
	case null != "false":
		if null == "true" {
			e.p("if %s == nil {", x)
		} else {
			e.p("if %s == nil && %s {", x, null)
		}
		e.p("dst = appendNull(dst, %s)\n} else {", e.flex(f.in))
		e.writeValue(x, f.typ, f.in)
		e.p("}")
	default:
		e.writeValue(x, f.typ, f.in)
	}
}

// writeValue writes what can be an array's element: never null.
func (e *emitter) writeValue(x string, t *typ, in span) {
	switch t.kind {
	case "array":
		e.p("dst = appendCount(dst, len(%s), %s)", x, e.flex(in))
		e.p("for i := range %s {", x)
		e.writeValue(x+"[i]", t.elem, in)
		e.p("}")
	case "struct":
		if holes(t.strct) {
			e.p("dst, holes = %s.encode(dst, holes, version)", x)
		} else {
			e.p("dst = %s.encode(dst, version)", x)
		}
	case "string", "bytes":
		e.p("dst = append%s(dst, %s, %s)", strings.ToUpper(t.kind[:1])+t.kind[1:], x, e.flex(in))
	case "uuid":
		e.p("dst = appendUUID(dst, %s)", x)
	default:
		e.p("dst = append%s(dst, %s)", strings.ToUpper(t.kind[:1])+t.kind[1:], x)
	}
}
