package config

import (
	"strings"
	"testing"
)

func TestAdminListener(t *testing.T) {
	for _, c := range []struct {
		set     string // one setting a line
		address string
		asked   bool
		pprof   bool
	}{
		{"", "127.0.0.1:9644", false, true},
		{"millrace.admin.listener=localhost:1234", "localhost:1234", true, true},
		{"millrace.admin.listener=[::1]:0", "[::1]:0", true, true},
		{"millrace.admin.listener=off", "off", true, false},
		{"millrace.admin.pprof=never", "127.0.0.1:9644", false, false},
		{"millrace.admin.listener=0.0.0.0:9644\nmillrace.allow.insecure=true", "0.0.0.0:9644", true, false},
		{"millrace.admin.listener=:9644\nmillrace.allow.insecure=true\nmillrace.admin.pprof=always", ":9644", true, true},
	} {
		got, err := Load("", strings.Fields(c.set))
		if err != nil {
			t.Errorf("%q: %v", c.set, err)
			continue
		}
		a := got.Admin()
		address := "off"
		if !a.Off {
			address = a.Address()
		}
		if address != c.address || a.Asked != c.asked || a.Pprof != c.pprof {
			t.Errorf("%q: %s, asked %v, pprof %v", c.set, address, a.Asked, a.Pprof)
		}
	}
	for set, want := range map[string]string{
		"millrace.admin.listener=0.0.0.0:9644": "-o: millrace.admin.listener: 0.0.0.0:9644 can be reached from other machines without TLS; serve on 127.0.0.1, or say millrace.allow.insecure=true",
		"millrace.admin.listener=9644":         `-o: millrace.admin.listener: no port (got "9644", allowed host:port, or off)`,
		"millrace.admin.listener=":             `-o: millrace.admin.listener: no port (got "", allowed host:port, or off)`,
		"millrace.admin.pprof=yes":             `-o: millrace.admin.pprof: not one of its values (got "yes", allowed loopback, always, never)`,
	} {
		if _, err := Load("", []string{set}); err == nil || err.Error() != want {
			t.Errorf("%s: %v", set, err)
		}
	}
}

// Port 0 gives every listener a free port, the admin's too; another port moves the clients' listener only.
func TestFreePortsForAll(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetPort(9999); err != nil || c.Admin().Port != 9644 {
		t.Errorf("admin port %d, %v", c.Admin().Port, err)
	}
	if err := c.SetPort(0); err != nil || c.Admin().Address() != "127.0.0.1:0" || c.Admin().Asked || c.String(adminListener) != "127.0.0.1:0" {
		t.Errorf("admin %+v, %v", c.Admin(), err)
	}
}
