// Package config knows Kafka's settings: one table of the broker's and the topics' names, types, units, defaults and ranges,
// the reader of server.properties, and the values in force.
//
// Precedence: what was set at run time for this broker, then for all brokers, then -o key=value, the file, the default. A topic setting that is not set on the topic takes the broker
// setting that is its synonym (milliseconds before minutes before hours), then its own default.
package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Type is the type of a setting; the numbers are those of DescribeConfigs.
type Type int8

const (
	Boolean  Type = 1
	String   Type = 2
	Int      Type = 3
	Short    Type = 4
	Long     Type = 5
	Double   Type = 6
	List     Type = 7
	Class    Type = 8
	Password Type = 9
)

// Mode says how a broker setting changes at run time.
type Mode uint8

const (
	ReadOnly Mode = iota
	PerBroker
	ClusterWide
)

// Support says what Millrace does with a setting.
type Support uint8

const (
	Honoured Support = iota
	NoEffect         // accepted, so that Kafka's files load as they are, but nothing changes
	Refused          // any value but the default is an error: pretending to honour it would be unsafe
)

// Source says where a value comes from; the numbers are those of DescribeConfigs.
type Source int8

const (
	DynamicTopic         Source = 1
	DynamicBroker        Source = 2
	DynamicDefaultBroker Source = 3
	StaticBroker         Source = 4
	Default              Source = 5
)

// Synonym is a broker setting that a topic setting takes its default from. Scale turns its unit into the topic's.
type Synonym struct {
	Name  string
	Scale int64
}

// Setting is one row of the table.
type Setting struct {
	Name      string
	Doc       string // one sentence
	Default   string // as it is written in server.properties
	Null      bool   // the default is null, not Default
	Type      Type
	Min, Max  int64 // numbers only, both inclusive
	NonZero   bool  // numbers only: 0 is no value
	OneOf     []string
	AnyCase   bool // OneOf whatever the case
	Update    Mode
	Topic     string    // broker settings: the topic setting it is the default of
	Synonyms  []Synonym // topic settings: the broker settings it takes its default from, first one first
	Sensitive bool      // never shown
	Support   Support
	Why       string // Refused: what to do instead
}

// value is what was set, and where.
type value struct {
	text   string
	where  string // file:line, or -o
	source Source
}

// Config is the set of values in force for one broker. It may be used from several goroutines: readers see one state or the
// next, never a mixture. The getters look a name up and parse; code that runs per request keeps what it needs.
type Config struct {
	state    atomic.Pointer[state]
	changing sync.Mutex // one writer at a time
	file     string
	warnings []string
}

// state is never changed once it is published.
type state struct {
	set        map[string]value
	dynamic    [2]layer // set at run time: for this broker, for all brokers
	listeners  []Listener
	advertised []Listener
	admin      Admin
	topic      TopicConfig // of a topic without settings of its own
}

// lookup returns a row of the table by its name, or nil.
func lookup(table []Setting, name string) *Setting {
	i, found := slices.BinarySearchFunc(table, name, func(s Setting, name string) int { return strings.Compare(s.Name, name) })
	if !found {
		return nil
	}
	return &table[i]
}

// setting returns a broker setting that the program itself names.
func setting(name string) *Setting {
	s := lookup(Broker, name)
	if s == nil {
		panic("config: no broker setting is called " + name)
	}
	return s
}

// get returns the value in force as it is written.
func (st *state) get(s *Setting) (text string, null bool, source Source) {
	name := idName(s.Name)
	for i := range st.dynamic {
		if text, ok := st.dynamic[i].of(s); ok {
			return text, false, st.dynamic[i].source
		}
	}
	if v, ok := st.set[name]; ok {
		return v.text, false, v.source
	}
	return s.Default, s.Null, Default
}

// String returns the value as it is written; empty when it is null.
func (c *Config) String(name string) string {
	text, _, _ := c.state.Load().get(setting(name))
	return text
}

// IsNull reports whether the setting has no value.
func (c *Config) IsNull(name string) bool {
	_, null, _ := c.state.Load().get(setting(name))
	return null
}

// Int returns an INT or SHORT; 0 when it is null.
func (c *Config) Int(name string) int { return int(c.Int64(name)) }

// Int64 returns a number without a fraction; 0 when it is null.
func (c *Config) Int64(name string) int64 { return c.state.Load().int64(name) }

func (st *state) int64(name string) int64 {
	text, _, _ := st.get(setting(name))
	n, _ := strconv.ParseInt(text, 10, 64) // checked when it was set
	return n
}

// Float returns a DOUBLE.
func (c *Config) Float(name string) float64 {
	f, _ := strconv.ParseFloat(c.String(name), 64)
	return f
}

// Bool returns a BOOLEAN.
func (c *Config) Bool(name string) bool { return strings.EqualFold(c.String(name), "true") }

// List returns the elements of a LIST.
func (c *Config) List(name string) []string { return splitList(c.String(name)) }

// Duration returns a time whose unit is the end of the setting's name: .ms, .seconds (.secs), .minutes or .hours. It is capped
// at the longest Duration there is; negative numbers, which mean no limit, stay negative.
func (c *Config) Duration(name string) time.Duration {
	unit := time.Millisecond
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "seconds", "secs":
		unit = time.Second
	case "minutes":
		unit = time.Minute
	case "hours":
		unit = time.Hour
	}
	n := c.Int64(name)
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64
	}
	if n < 0 {
		return -1
	}
	return time.Duration(n) * unit
}

// Source says where the value in force comes from.
func (c *Config) Source(name string) Source {
	_, _, source := c.state.Load().get(setting(name))
	return source
}

// Set changes one value, as -o would; nothing changes when there is an error.
func (c *Config) Set(name, text string) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	was := c.state.Load()
	l := loader{set: maps.Clone(was.set)}
	l.put(name, text, "-o")
	st := l.finish()
	if err := l.err(); err != nil {
		return err
	}
	st.dynamic = was.dynamic
	st.topic = st.topicDefaults()
	c.state.Store(st)
	return nil
}

// SetPort moves the client listener to another port. 0 gives every listener a port that is free.
func (c *Config) SetPort(port int) error {
	if port < 0 || port > 65535 {
		return fmt.Errorf("port %d: out of range (allowed 0 ... 65535)", port)
	}
	c.changing.Lock()
	defer c.changing.Unlock()
	st := *c.state.Load()
	if port != 0 && len(st.listeners) != 1 {
		return fmt.Errorf("port %d: there are %d client listeners; set their ports in listeners", port, len(st.listeners))
	}
	st.listeners = slices.Clone(st.listeners)
	text, _, source := st.get(setting("listeners"))
	items := splitList(text)
	for i := range st.listeners {
		st.listeners[i].Port = port
		for j, item := range items {
			if one, err := parseListener(item); err == nil && one.Name == st.listeners[i].Name {
				items[j] = st.listeners[i].String()
			}
		}
	}
	st.set = maps.Clone(st.set)
	st.set["listeners"] = value{strings.Join(items, ","), "--port", source}
	if port == 0 && !st.admin.Off {
		st.admin.Port = 0
		_, _, source := st.get(setting(adminListener))
		st.set[adminListener] = value{st.admin.Address(), "--port", source}
	}
	c.state.Store(&st)
	return nil
}

// SetDataDir overrides log.dirs with a path, which may hold commas.
func (c *Config) SetDataDir(dir string) {
	c.changing.Lock()
	defer c.changing.Unlock()
	st := *c.state.Load()
	st.set = maps.Clone(st.set)
	st.set["log.dirs"] = value{strings.ReplaceAll(dir, ",", "\\,"), "--data-dir", StaticBroker}
	c.state.Store(&st)
}

// DataDir is the directory everything is kept in.
func (c *Config) DataDir() string {
	for _, name := range []string{"log.dirs", "log.dir"} {
		if dirs := c.List(name); len(dirs) > 0 {
			return dirs[0]
		}
	}
	return ""
}

// Listeners returns the listeners that clients use, in order; the controller's are left out.
func (c *Config) Listeners() []Listener { return c.state.Load().listeners }

// AdvertisedListeners is empty when clients are to be told the address they have reached.
func (c *Config) AdvertisedListeners() []Listener { return c.state.Load().advertised }

// File is the file that was read, or empty.
func (c *Config) File() string { return c.file }

// Warnings are sentences the user should read once, at the start.
func (c *Config) Warnings() []string { return c.warnings }

// Ineffective names the settings that were set and do nothing here, sorted.
func (c *Config) Ineffective() []string {
	var names []string
	for name, v := range c.state.Load().set {
		if s := lookup(Broker, name); v.source != Default && (s == nil || s.Support == NoEffect) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
