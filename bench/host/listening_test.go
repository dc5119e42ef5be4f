package host

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestListening(t *testing.T) {
	for _, c := range []struct{ network, bind, ask string }{
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", "127.0.0.1:0", "localhost"},
		{"tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"tcp", "[::]:0", "127.0.0.1"},
		{"tcp", "[::]:0", "::1"},
		{"tcp6", "[::1]:0", "::1"},
	} {
		l, err := net.Listen(c.network, c.bind)
		if err != nil {
			t.Logf("%s: %v", c.bind, err) // a machine without IPv6
			continue
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if pid, ok := Listening(net.JoinHostPort(c.ask, port)); !ok || pid != os.Getpid() {
			t.Errorf("%s %s, asked for %s: process %d, %v; want %d", c.network, c.bind, c.ask, pid, ok, os.Getpid())
		}
		_ = l.Close()
		if pid, ok := Listening(net.JoinHostPort(c.ask, port)); ok {
			t.Errorf("nobody listens on %s any more, found process %d", c.ask, pid)
		}
	}
	for _, bad := range []string{"", "localhost", "127.0.0.1:x", "192.0.2.1:80", "127.0.0.1:99999"} {
		if pid, ok := Listening(bad); ok {
			t.Errorf("%q: found process %d", bad, pid)
		}
	}
}

// The kernel prints words as they are in memory; these lines are of a little-endian machine.
func TestListenerPrefersTheExactAddress(t *testing.T) {
	const (
		head  = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		tcp   = head + "   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n   1: 0100007F:2385 0100007F:2384 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0\n   2: 00000000:2386 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n"
		tcp6  = head + "   0: 00000000000000000000000000000000:2384 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21 1 0\n   1: 00000000000000000000000001000000:2386 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1 0\n   2: 0000000000000000FFFF00000100007F:2387 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23 1 0\n"
		short = "  3: 00:2384 x 0A\n  3: zz:2384 x 0A 0 0 0 0 0 9\n"
	)
	if at, err := parseAddress("0100007F:2384"); err != nil || !strings.HasPrefix(at.String(), "127.") {
		t.Skip("a big-endian machine")
	}
	for to, want := range map[string]string{
		"127.0.0.1:9092": "11", "127.0.0.2:9092": "21", "[::1]:9092": "21", "127.0.0.1:9093": "", "127.0.0.1:9094": "13", "[::1]:9094": "22", "127.0.0.1:9095": "23",
	} {
		if got := listener(tcp+short, tcp6, netip.MustParseAddrPort(to)); got != want {
			t.Errorf("%s is taken by socket %q, want %q", to, got, want)
		}
	}
}
