package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Listener is one element of `listeners`.
type Listener struct {
	Name     string // upper case
	Host     string // empty: all interfaces
	Port     int
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
}

func (l Listener) String() string { return fmt.Sprintf("%s://%s", l.Name, l.Address()) }

// Address is host:port.
func (l Listener) Address() string {
	host := l.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(l.Port)
}

// Loopback reports whether only this machine can reach the listener.
func (l Listener) Loopback() bool {
	if strings.EqualFold(l.Host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(l.Host)
	return err == nil && addr.Unmap().IsLoopback()
}

var protocols = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

func (l *loader) listeners(st *state, get func(string) string) {
	controllers := splitList(strings.ToUpper(get("controller.listener.names")))
	security := map[string]string{}
	for _, pair := range splitList(get("listener.security.protocol.map")) {
		name, protocol, ok := strings.Cut(strings.ToUpper(pair), ":")
		if !ok || !slices.Contains(protocols, protocol) {
			l.fail("listener.security.protocol.map", "want NAME:PROTOCOL (got %q, allowed protocols %s)", pair, strings.Join(protocols, ", "))
			continue
		}
		security[name] = protocol
	}
	if _, custom := l.set["listener.security.protocol.map"]; !custom {
		for _, name := range controllers { // as Kafka does for a map that nobody wrote
			if _, ok := security[name]; !ok {
				security[name] = "PLAINTEXT"
			}
		}
	}

	insecure := strings.EqualFold(get("millrace.allow.insecure"), "true")
	all := l.parseListeners("listeners", get("listeners"), security)
	for i, one := range all {
		if slices.ContainsFunc(all[:i], func(o Listener) bool { return o.Name == one.Name }) {
			l.fail("listeners", "the name %s is used twice", one.Name)
		}
		if slices.ContainsFunc(all[:i], func(o Listener) bool { return o.Port == one.Port && o.Port != 0 && o.Host == one.Host }) {
			l.fail("listeners", "the port %d is used twice", one.Port)
		}
		if slices.Contains(controllers, one.Name) {
			l.warnings = append(l.warnings, fmt.Sprintf("%s is not opened: a single node is its own controller", one))
			continue
		}
		switch {
		case one.Protocol != "PLAINTEXT":
			l.fail("listeners", "%s: %s is not in this version (allowed PLAINTEXT)", one, one.Protocol)
		case !one.Loopback() && !insecure:
			l.fail("listeners", "%s can be reached from other machines without TLS and SASL; listen on 127.0.0.1, or say millrace.allow.insecure=true", one)
		}
		st.listeners = append(st.listeners, one)
	}
	if len(st.listeners) == 0 && len(l.errs) == 0 {
		l.fail("listeners", "no listener for clients is left besides the controller's (got %q)", get("listeners"))
	}

	st.advertised = l.parseListeners("advertised.listeners", get("advertised.listeners"), security)
	for _, one := range st.advertised {
		addr, err := netip.ParseAddr(one.Host)
		switch {
		case !slices.ContainsFunc(all, func(o Listener) bool { return o.Name == one.Name }):
			l.fail("advertised.listeners", "%s is not one of the listeners (allowed %s)", one.Name, get("listeners"))
		case one.Host == "" || err == nil && addr.IsUnspecified():
			l.fail("advertised.listeners", "%s: clients cannot connect to that; write the host's name or address", one)
		}
	}
	st.advertised = slices.DeleteFunc(st.advertised, func(o Listener) bool { return slices.Contains(controllers, o.Name) })
}

func (l *loader) parseListeners(setting, text string, security map[string]string) []Listener {
	var list []Listener
	for _, item := range splitList(text) {
		one, err := parseListener(item)
		if err != nil {
			l.fail(setting, "%v (got %q, allowed NAME://host:port)", err, item)
			continue
		}
		protocol, ok := security[one.Name]
		if !ok {
			l.fail(setting, "%s: listener.security.protocol.map does not say the protocol of %s", one, one.Name)
			continue
		}
		one.Protocol = protocol
		list = append(list, one)
	}
	return list
}

func parseListener(text string) (Listener, error) {
	name, address, ok := strings.Cut(text, "://")
	if !ok || name == "" {
		return Listener{}, fmt.Errorf("no listener name")
	}
	colon := strings.LastIndexByte(address, ':')
	if colon < 0 {
		return Listener{}, fmt.Errorf("no port")
	}
	host := address[:colon]
	port, err := strconv.ParseUint(address[colon+1:], 10, 16)
	if err != nil {
		return Listener{}, fmt.Errorf("not a port")
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
		if _, err := netip.ParseAddr(host); err != nil {
			return Listener{}, fmt.Errorf("not an address")
		}
	} else if strings.ContainsAny(host, ":/[] ") {
		return Listener{}, fmt.Errorf("not a host (an IPv6 address goes into brackets)")
	}
	return Listener{Name: strings.ToUpper(name), Host: host, Port: int(port)}, nil
}
