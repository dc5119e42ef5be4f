package netio

import (
	"testing"
	"unsafe"
)

// 10,000 idle connections are 10,000 of these: another field that pushes a Conn into the next size class (288 bytes) costs all of them.
func TestConnFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 256 {
		t.Errorf("a Conn takes %d bytes, want at most 256: what only some connections need belongs behind a pointer, as parts does", size)
	}
}
