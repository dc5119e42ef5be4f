package config

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// withoutFile is what a broker without a configuration file does differently from Kafka: it works at once, on loopback.
var withoutFile = map[string]string{
	"node.id":                          "1",
	"listeners":                        "PLAINTEXT://127.0.0.1:9092",
	"log.dirs":                         "millrace-data",
	"group.initial.rebalance.delay.ms": "0",
	"transaction.state.log.min.isr":    "1",
}

// Load reads the file (none when empty) and applies the overrides, each key=value. The error holds every mistake found, one
// on a line: `file:line: key: what is wrong (got X, allowed Y)`.
func Load(file string, overrides []string) (*Config, error) {
	if file == "" {
		l := loader{set: map[string]value{}}
		for name, text := range withoutFile {
			l.set[name] = value{text, "", Default}
		}
		return l.load("", nil, overrides)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(file, string(text), overrides)
}

// Parse is Load for a text that has been read already; file is its name, for messages.
func Parse(file, text string, overrides []string) (*Config, error) {
	l := loader{set: map[string]value{}}
	properties, mistakes := parseProperties(text)
	for _, m := range mistakes {
		l.errs = append(l.errs, fmt.Errorf("%s:%d: %s", file, m.line, m.message))
	}
	return l.load(file, properties, overrides)
}

func (l *loader) load(file string, properties []property, overrides []string) (*Config, error) {
	// How strict to be must be known before the first unknown name is met.
	for _, p := range properties {
		l.lenient = p.key == "millrace.unknown.config" && strings.TrimSpace(p.value) == "warn" || l.lenient && p.key != "millrace.unknown.config"
	}
	seen := map[string]int{}
	for _, p := range properties {
		where := fmt.Sprintf("%s:%d", file, p.line)
		if before, twice := seen[p.key]; twice {
			l.warnings = append(l.warnings, fmt.Sprintf("%s: %s is also set on line %d; the later line counts", where, p.key, before))
		}
		seen[p.key] = p.line
		l.put(p.key, p.value, where)
	}
	for _, o := range overrides {
		name, text, ok := strings.Cut(o, "=")
		if !ok || name == "" {
			l.errs = append(l.errs, fmt.Errorf("-o %s: want key=value", o))
			continue
		}
		l.put(strings.TrimSpace(name), text, "-o")
	}
	st := l.finish()
	if err := l.err(); err != nil {
		return nil, err
	}
	c := &Config{file: file, warnings: l.warnings}
	c.state.Store(st)
	return c, nil
}

// loader gathers values and mistakes.
type loader struct {
	set      map[string]value
	lenient  bool // unknown names are only warned of
	errs     []error
	warnings []string
}

func (l *loader) err() error { return errors.Join(l.errs...) }

// fail notes a mistake about a setting, with the place it was set at.
func (l *loader) fail(name, format string, args ...any) {
	where := l.set[name].where
	if where == "" {
		where = "default"
	}
	l.errs = append(l.errs, fmt.Errorf("%s: %s: %s", where, name, fmt.Sprintf(format, args...)))
}

// put checks one value and takes it.
func (l *loader) put(name, text, where string) {
	at := func(format string, args ...any) {
		l.errs = append(l.errs, fmt.Errorf("%s: %s: %s", where, printable(name), fmt.Sprintf(format, args...)))
	}
	s := lookup(Broker, name)
	if s == nil {
		if why := removedWhy(name); why != "" {
			at("not supported: %s", why)
		} else if plugin(name) {
			l.set[name] = value{text, where, StaticBroker}
		} else if message := unknown(name); l.lenient {
			l.warnings = append(l.warnings, fmt.Sprintf("%s: %s: %s", where, printable(name), message))
		} else {
			at("%s", message)
		}
		return
	}
	if err := s.check(text); err != nil {
		at("%s", err)
		return
	}
	l.set[name] = value{strings.TrimSpace(text), where, StaticBroker}
}

// printable shows a name from a file on one line, whatever characters are in it.
func printable(name string) string {
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

func unknown(name string) string {
	if t := lookup(Topic, name); t != nil && len(t.Synonyms) > 0 {
		return fmt.Sprintf("unknown setting: that is its name on a topic; did you mean %s?", t.Synonyms[0].Name)
	}
	if s := suggest(name, Broker); s != "" {
		return fmt.Sprintf("unknown setting; did you mean %s?", s)
	}
	return "unknown setting"
}

// finish checks what several values say together, and derives what is read often.
func (l *loader) finish() *state {
	st := &state{set: l.set}
	old, hasOld := l.set["broker.id"]
	id, hasID := l.set["node.id"]
	switch {
	case hasOld && hasID && id.source != Default && old.text != id.text:
		l.fail("broker.id", "differs from node.id (got %s and %s)", old.text, id.text)
	case hasOld && strings.HasPrefix(old.text, "-"):
		l.fail("broker.id", "out of range (got %s, allowed 0 ... %d)", old.text, maxInt)
	case hasOld:
		l.set["node.id"] = old
	}
	get := func(name string) string { text, _, _ := st.get(setting(name)); return text }
	roles := splitList(get("process.roles"))
	if len(roles) != 2 {
		l.fail("process.roles", "every node is broker and controller in this version (got %q, allowed broker,controller)", get("process.roles"))
	}
	if dirs := splitList(get("log.dirs")); len(dirs) > 1 {
		l.fail("log.dirs", "one directory is used in this version (got %d)", len(dirs))
	}
	for _, name := range []string{"controller.quorum.voters", "controller.quorum.bootstrap.servers"} {
		if n := len(splitList(get(name))); n > 1 {
			l.fail(name, "clusters of several nodes are not in this version (got %d nodes)", n)
		}
	}
	if v, ok := l.set["default.replication.factor"]; ok && v.text != "1" {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: default.replication.factor: there is one broker, so topics get one replica, not %s", v.where, v.text))
	}
	l.listeners(st, get)
	l.admin(st, get)
	if len(l.errs) == 0 {
		st.topic = st.topicDefaults()
	}
	return st
}
