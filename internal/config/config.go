// Package config knows Kafka's settings: one table of the broker's and the topics' names, types, units, defaults and ranges,
// the reader of server.properties, and the values in force.
//
// Precedence: -o key=value, then the file, then the default. A topic setting that is not set on the topic takes the broker
// setting that is its synonym (milliseconds before minutes before hours), then its own default.
package config

import (
	"errors"
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
	OneOf     []string
	Update    Mode
	Topic     string    // broker settings: the topic setting it is the default of
	Synonyms  []Synonym // topic settings: the broker settings it takes its default from, first one first
	Sensitive bool      // never shown
	Support   Support
	Why       string // Refused: what to do instead
}

// Entry is one setting with the value in force, as DescribeConfigs answers it.
type Entry struct {
	Name, Value         string
	Null                bool // the value is null (also when it is sensitive)
	Source              Source
	ReadOnly, Sensitive bool
	Type                Type
	Doc                 string
	Synonyms            []EntrySynonym // strongest first; the first is the value in force
}

// EntrySynonym is one of the places a value was looked for and found.
type EntrySynonym struct {
	Name, Value string
	Null        bool
	Source      Source
}

// Config is the set of values in force for one broker.
type Config struct{}

// Listener is one element of `listeners`.
type Listener struct {
	Name     string // upper case
	Host     string // empty: all interfaces
	Port     int
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
}

// Load reads the file (none when empty) and applies the overrides, each key=value. The error holds every mistake found.
func Load(file string, overrides []string) (*Config, error) {
	return nil, errors.New("config: not built yet")
}

func (c *Config) String(name string) string                   { return "" }
func (c *Config) IsNull(name string) bool                     { return true }
func (c *Config) Int(name string) int                         { return 0 }
func (c *Config) Int64(name string) int64                     { return 0 }
func (c *Config) Float(name string) float64                   { return 0 }
func (c *Config) Bool(name string) bool                       { return false }
func (c *Config) List(name string) []string                   { return nil }
func (c *Config) Duration(name string) time.Duration          { return 0 } // of a setting whose name ends in its unit
func (c *Config) Source(name string) Source                   { return Default }
func (c *Config) Set(name, value string) error                { return nil }
func (c *Config) DataDir() string                             { return "" }
func (c *Config) Listeners() []Listener                       { return nil } // client listeners, in order, the controller's left out
func (c *Config) AdvertisedListeners() []Listener             { return nil } // empty: the address the client reached
func (c *Config) Warnings() []string                          { return nil }
func (c *Config) Describe() []Entry                           { return nil } // every broker setting
func (c *Config) DescribeTopic(set map[string]string) []Entry { return nil } // every topic setting; set holds the topic's own
