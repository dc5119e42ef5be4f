package fuzz

import (
	"testing"

	"github.com/millrace/millrace/internal/config"
)

// FuzzSettings sets a topic's and a broker's setting to anything a client may send: it is refused with a text, or in force and described.
func FuzzSettings(f *testing.F) {
	for _, s := range config.Topic {
		f.Add(s.Name, s.Default)
		f.Add(s.Name, " -1 ")
	}
	for _, s := range config.Broker {
		f.Add(s.Name, s.Default)
	}
	f.Add("cleanup.policy", ",compact,")
	f.Add("min.cleanable.dirty.ratio", "1e-400")
	f.Add("listener.name.x.max.connections", "5")
	f.Add("leader.replication.throttled.replicas", "0:1,*")
	base, err := config.Load("", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		set := map[string]string{name: text}
		if _, err := base.TopicConfig(set); err == nil {
			for _, e := range base.DescribeTopic(set) {
				if e.Name != name {
					continue
				}
				if e.Source != config.DynamicTopic || len(e.Synonyms) == 0 || e.Synonyms[0].Value != e.Value {
					t.Fatalf("%q = %q is described as %+v", name, text, e)
				}
				// What is shown is a value, and is shown as itself.
				again := map[string]string{name: e.Value}
				if _, err := base.TopicConfig(again); err != nil {
					t.Fatalf("%q = %q is shown as %q: %v", name, text, e.Value, err)
				}
			}
		} else if err.Error() == "" {
			t.Fatal("refused without a text")
		}
		for _, oneBroker := range []bool{true, false} {
			if base.CheckDynamic(set, oneBroker) != nil {
				continue
			}
			c, err := config.Load("", nil)
			if err != nil {
				t.Fatal(err)
			}
			if oneBroker {
				c.SetDynamic(set, nil)
			} else {
				c.SetDynamic(nil, set)
			}
			found := false
			for _, e := range append(c.Describe(), c.DescribeDefault()...) {
				found = found || e.Name == name
				if e.Sensitive && e.Value != "" {
					t.Fatalf("%q is secret, and shown", e.Name)
				}
			}
			if !found {
				t.Fatalf("%q = %q is set and not described", name, text)
			}
			if _, err := c.TopicConfig(nil); err != nil {
				t.Fatalf("%q = %q: topics without settings of their own: %v", name, text, err)
			}
		}
	})
}
