package netio

import (
	"net"
	"testing"
	"unsafe"
)

// 10,000 idle connections are 10,000 of these: another field that pushes a Conn into the next size class (288 bytes) costs all of them.
func TestConnFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 256 {
		t.Errorf("a Conn takes %d bytes, want at most 256: what only some connections need belongs behind a pointer, as parts does", size)
	}
}

// gnet's copies of a connection's addresses, 128 bytes, are let go of. If this fails after an update of gnet, see addressesOf.
func TestGnetKeepsNoAddresses(t *testing.T) {
	type addressed interface {
		LocalAddr() net.Addr
		RemoteAddr() net.Addr
	}
	socks := make(chan addressed, 1)
	s, _ := serve(t, funcs{opened: func(c *Conn) { socks <- c.sock.(addressed) }}, nil)
	dial(t, s)
	if sock := <-socks; sock.LocalAddr() != nil || sock.RemoteAddr() != nil || len(s.engine.spared) != 3 {
		t.Errorf("gnet keeps %v and %v; %d of 3 addresses were found", sock.LocalAddr(), sock.RemoteAddr(), len(s.engine.spared))
	}
}
