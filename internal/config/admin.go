package config

import "strings"

const adminListener = "millrace.admin.listener"

// Admin is where the broker shows itself over HTTP.
type Admin struct {
	Listener
	Off   bool
	Asked bool // somebody has set it: to serve elsewhere, or not at all, would be wrong
	Pprof bool // profiles are served, too
}

// Admin returns the admin listener.
func (c *Config) Admin() Admin { return c.state.Load().admin }

func (l *loader) admin(st *state, get func(string) string) {
	text, _, source := st.get(setting(adminListener))
	st.admin.Asked = source != Default
	if st.admin.Off = strings.EqualFold(text, "off"); st.admin.Off {
		return
	}
	one, err := parseListener("ADMIN://" + text)
	if err != nil {
		l.fail(adminListener, "%v (got %q, allowed host:port, or off)", err, text)
		return
	}
	if !one.Loopback() && !strings.EqualFold(get("millrace.allow.insecure"), "true") {
		l.fail(adminListener, "%s can be reached from other machines without TLS; serve on 127.0.0.1, or say millrace.allow.insecure=true", one.Address())
		return
	}
	st.admin.Listener = one
	switch get("millrace.admin.pprof") {
	case "always":
		st.admin.Pprof = true
	case "loopback":
		st.admin.Pprof = one.Loopback()
	}
}
