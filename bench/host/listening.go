package host

import (
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Listening finds the process that listens on an address of this machine, such as 127.0.0.1:9092. It is not found when it runs
// in another network namespace (a container with a port that is passed on), or belongs to another user and we are not root.
func Listening(address string) (pid int, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, false
	}
	ips, err := net.LookupIP(host)
	if err != nil {
		return 0, false
	}
	tables := map[bool]string{}
	for v6, name := range map[bool]string{false: "tcp", true: "tcp6"} {
		text, _ := os.ReadFile("/proc/net/" + name)
		tables[v6] = string(text)
	}
	for _, ip := range ips {
		if at, ok := netip.AddrFromSlice(ip); ok && ours(at.Unmap()) {
			if pid, ok := holder(listener(tables[false], tables[true], netip.AddrPortFrom(at.Unmap(), uint16(number)))); ok {
				return pid, true
			}
		}
	}
	return 0, false
}

// ours reports whether an address is one of this machine.
func ours(at netip.Addr) bool {
	if at.IsLoopback() {
		return true
	}
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == at {
			return true
		}
	}
	return false
}

// listener finds the inode of the socket that takes connections to an address: one bound to it, else one bound to all.
func listener(tcp, tcp6 string, to netip.AddrPort) (inode string) {
	best := 0
	for _, table := range []string{tcp, tcp6} {
		for l := range strings.Lines(table) {
			f := strings.Fields(l)
			const listen = "0A"
			if len(f) < 10 || f[3] != listen {
				continue
			}
			at, err := parseAddress(f[1])
			if err != nil || at.Port() != to.Port() {
				continue
			}
			fits := 0
			switch bound := at.Addr(); {
			case bound.Unmap() == to.Addr():
				fits = 3
			case bound.IsUnspecified() && bound.Is4() == to.Addr().Is4():
				fits = 2
			case bound.IsUnspecified() && bound.Is6():
				fits = 1 // both families, unless it is for one only, which the table does not tell
			}
			if fits > best {
				best, inode = fits, f[9]
			}
		}
	}
	return inode
}

// parseAddress reads 0100007F:2384, words as they are in memory, and a port.
func parseAddress(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for ; len(b)%4 == 0 && len(words) > 0; words = words[8:] {
		word := b[len(b)-len(words)/2:]
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	at, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.AddrPort{}, net.InvalidAddrError(s)
	}
	return netip.AddrPortFrom(at, uint16(n)), nil
}

// holder finds the process that has a socket open.
func holder(inode string) (pid int, ok bool) {
	if inode == "" {
		return 0, false
	}
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		folder := "/proc/" + p.Name() + "/fd/"
		files, _ := os.ReadDir(folder)
		for _, f := range files {
			if to, _ := os.Readlink(folder + f.Name()); to == "socket:["+inode+"]" {
				return pid, true
			}
		}
	}
	return 0, false
}
