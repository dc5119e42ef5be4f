package netio

import "net/netip"

// Conn is one connection. Its loop owns it.
type Conn struct {
	Context any // the handler's; loop only
}

// ID is unique for the life of the server.
func (c *Conn) ID() uint64 { return 0 }

// Listener is the name of the listener that accepted the connection.
func (c *Conn) Listener() string { return "" }

// LocalAddr is the address the client reached.
func (c *Conn) LocalAddr() netip.AddrPort { return netip.AddrPort{} }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return netip.AddrPort{} }

// Closed says whether Handler.Closed has been or is being called. Any goroutine may ask.
func (c *Conn) Closed() bool { return true }

// Hold stops Frame calls for this connection until Unhold. Loop only.
func (c *Conn) Hold() {}

// Unhold ends Hold. Frames that have arrived are handled after the current call from the loop has returned, unless Hold is called again before. Loop only.
func (c *Conn) Unhold() {}

// Post runs f on the connection's loop, also when the connection has closed meanwhile. Any goroutine.
func (c *Conn) Post(f func()) {}

// Close closes the connection after the current call from the loop has returned. Finished replies that can leave without waiting do. Loop only.
func (c *Conn) Close(err error) {}
