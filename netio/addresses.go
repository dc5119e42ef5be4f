package netio

import (
	"net/netip"
	"sync"
)

// addresses counts the open connections of each client address.
type addresses struct {
	mu   sync.Mutex
	open map[netip.Addr]int
}

// enter counts a connection, unless its address has most already.
func (a *addresses) enter(ip netip.Addr, most int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[ip] >= most {
		return false
	}
	if a.open == nil {
		a.open = map[netip.Addr]int{}
	}
	a.open[ip]++
	return true
}

// leave uncounts one that had entered.
func (a *addresses) leave(ip netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.open[ip]; n > 1 {
		a.open[ip] = n - 1
	} else {
		delete(a.open, ip)
	}
}
