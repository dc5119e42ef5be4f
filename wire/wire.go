// Package wire is Kafka's protocol as bytes: request and response headers, the bodies of the APIs this broker serves, error
// codes, ids. What a server needs of it: requests are decoded, responses are encoded, nothing else.
//
// # Definitions
//
// Every API has one file under messages/, and gen writes one zz_ file from it (go generate). A definition reads like this:
//
//	# What the API is for; becomes the documentation of its types.
//	api        1 Fetch        its key and Kafka's name
//	versions   4-18           versions that have a codec here
//	advertised 4-18           versions to put into ApiVersions, where they differ from the ones above
//	flexible   12+            versions with compact lengths and tagged fields; or "none"
//	views                     strings and bytes of the request alias the frame
//
//	request
//	  Topics      []Topic     7+              # an array; the struct's fields follow, indented by two
//	    Name      string      -12             # up to version 12
//	    TopicID   uuid        13+             # from version 13
//	    Rack      string      11+ null 12+    # may be null from version 12; plain "null": in every version
//	    Epoch     int32       9+ = -1         # its value in requests of the versions before
//	    Dir       uuid        17+ tag 0       # a tagged field
//	  Cursor      Cursor      null            # a struct that may be absent; again its fields follow
//	    ...
//	response
//	  ...
//
// Types are bool, int8, int16, uint16, int32, uint32, int64, float64, string, bytes, uuid, code (an int16 error code), records,
// a struct's name, and [] before any of them. A struct that was spelled out once can be named again in the same section. What
// Kafka calls a map is an array on the wire and an array here. Fields stand in the order of the wire; tagged ones stand last.
//
// # Types
//
//   - A string that may be null is a [NullString]; its zero value is null.
//   - An array or bytes that may be null: nil is null, and empty is not nil. One that may not be null has no such difference.
//   - A struct that may be null is a pointer. So is a tagged struct of a response: nil leaves the tag out. A tagged struct of a
//     request is a value, with its defaults when the tag is missing.
//   - records is a []byte in a request. In a response it is only a size (Records becomes RecordsSize), and Append leaves a hole:
//     it reports the position in its output where that many bytes of the log have to be sent.
//
// # Decoding
//
// Decode sets every field, so a request may be used again and again: slices keep their capacity, and a message marked "views"
// decodes without allocating once it has seen a request of the size. What would keep more than 4 MiB that way starts empty
// instead. Views and records are valid as long as the frame is.
//
// Nothing in a frame is believed: lengths are checked against the bytes left before they are used, an array needs its minimal
// size in the frame before a byte is allocated for it, a struct has at most 64 tagged fields, strings are UTF-8, and a request
// may not cost more than 8 times its own size and 1 MiB. Bytes after a request's last field are ignored, as Kafka does.
//
// # Encoding
//
// Append writes a response behind dst. The zero value of a response is encodable but not always right: some fields have another
// default (LogAppendTimeMs is -1). Default sets these, and the Add functions append an element that has been through it and
// keeps the capacity of the slices in it (up to 4 MiB in all); fill one element before adding the next.
package wire

//go:generate go run ./gen

import (
	"fmt"
	"math"
	"unsafe"
)

// API is one row of the table of APIs that have a definition.
type API struct {
	Key      int16
	Name     string // Kafka's
	Min, Max int16  // advertised: Kafka 4.4's range
	Served   int16  // first version with a codec; above Min for Produce only, which is advertised from 0 (KAFKA-18659)
	Flexible int16  // first flexible version; math.MaxInt16 when there is none
}

const never = math.MaxInt16

// NullString is a string or null. The zero value is null.
type NullString struct {
	Value string // empty when null
	Valid bool   // not null
}

// Str is s, not null.
func Str(s string) NullString { return NullString{s, true} }

// StrOrNull is s, or null when s is empty: for error messages and racks, where no text means null.
func StrOrNull(s string) NullString { return NullString{s, s != ""} }

// String is the value, with null as the empty string.
func (s NullString) String() string { return s.Value }

// DecodeError says where and why the bytes of a request make no sense. The connection they came from cannot be used any more.
type DecodeError struct {
	API     string // Kafka's name, or "header"
	Version int16
	Offset  int // in the bytes given to the decoder
	Reason  string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("decode %s v%d: byte %d: %s", e.API, e.Version, e.Offset, e.Reason)
}

// view is p as a string without a copy: it lives and changes as p does.
func view(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
