package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// perAddress is the one setting that is a list of addresses with a number each.
const perAddress = "max.connections.per.ip.overrides"

// ConnectionsPerIP is how many connections one client address may have open, and the exceptions.
func (c *Config) ConnectionsPerIP() (most int, overrides map[netip.Addr]int) {
	overrides, _ = parseAddresses(c.String(perAddress)) // checked when it was set
	return c.Int("max.connections.per.ip"), overrides
}

// parseAddresses reads address:number,address:number; an address of IPv6 may stand in brackets. bad is the first item that is none.
func parseAddresses(text string) (m map[netip.Addr]int, bad string) {
	m = map[netip.Addr]int{}
	for _, item := range splitList(text) {
		colon := strings.LastIndexByte(item, ':')
		if colon < 0 {
			return nil, item
		}
		host := strings.TrimSpace(item[:colon])
		if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
			host = host[1 : len(host)-1]
		}
		addr, err := netip.ParseAddr(host)
		n, errN := strconv.ParseInt(strings.TrimSpace(item[colon+1:]), 10, 32)
		if err != nil || errN != nil || n < 0 {
			return nil, item
		}
		m[addr.Unmap()] = int(n)
	}
	return m, ""
}
