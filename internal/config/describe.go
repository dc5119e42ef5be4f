package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Entry is one setting with the value in force, as DescribeConfigs answers it.
type Entry struct {
	Name, Value         string
	Null                bool // there is no value, or it is not shown
	Source              Source
	ReadOnly, Sensitive bool
	Type                Type // 0: a setting that nobody knows
	Doc                 string
	Synonyms            []EntrySynonym // strongest first; the first is where the value in force comes from
}

// EntrySynonym is one of the places a value was looked for and found.
type EntrySynonym struct {
	Name, Value string
	Null        bool // not shown
	Source      Source
}

// Describe returns every broker setting, sorted by name, and what else was set.
func (c *Config) Describe() []Entry {
	st := c.state.Load()
	entries := make([]Entry, 0, len(Broker))
	for i := range Broker {
		entries = append(entries, st.brokerEntry(&Broker[i], Broker[i].Name))
	}
	others := map[string]bool{}
	note := func(name string) {
		if lookup(Broker, name) == nil {
			others[name] = true
		}
	}
	for name := range st.set {
		note(name)
	}
	for i := range st.dynamic {
		for name := range st.dynamic[i].set {
			note(name)
		}
	}
	for name := range others {
		s, _ := brokerSetting(name)
		entries = append(entries, st.brokerEntry(s, name))
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

// DescribeDefault returns what was set at run time for all brokers, sorted by name.
func (c *Config) DescribeDefault() []Entry {
	st := c.state.Load()
	set := st.dynamic[1].set
	entries := make([]Entry, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		s, _ := brokerSetting(name)
		e := st.brokerEntry(s, name)
		e.Synonyms = slices.DeleteFunc(e.Synonyms, func(y EntrySynonym) bool { return y.Source != DynamicDefaultBroker })
		if e.Value, e.Null, e.Source = set[name], e.Sensitive, DynamicDefaultBroker; e.Null {
			e.Value = ""
		}
		entries = append(entries, e)
	}
	return entries
}

// brokerEntry describes one broker setting; s is nil when nobody knows it.
func (st *state) brokerEntry(s *Setting, name string) Entry {
	if s == nil {
		e := Entry{Name: name, Null: true, ReadOnly: true, Sensitive: true, Source: Default} // who knows what it is
		e.Synonyms = st.found(name, []string{name}, true)
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		return e
	}
	e := Entry{Name: name, Source: Default, Sensitive: s.Sensitive, Type: s.Type, Doc: s.Doc, ReadOnly: s.Update == ReadOnly || name != s.Name}
	e.Synonyms = st.found(name, synonymsOf(s, name), s.Sensitive)
	if len(e.Synonyms) > 0 {
		e.Source = e.Synonyms[0].Source
	}
	switch text, null, _ := st.get(s); {
	case s.Sensitive || null:
		e.Null = true
	case name != s.Name:
		e.Value = e.Synonyms[0].Value
	case st.overridden(s):
		e.Value, e.Null = s.Default, s.Null
	default:
		e.Value = s.shown(text)
	}
	return e
}

// synonymsOf are the names under which a broker setting is looked for. One with a listener's prefix is looked for without it, too.
func synonymsOf(s *Setting, name string) []string {
	if name != s.Name {
		return []string{name, s.Name}
	}
	t := lookup(Topic, s.Topic)
	if t == nil || len(t.Synonyms) < 2 || name == "log.flush.scheduler.interval.ms" {
		return []string{name}
	}
	names := make([]string, len(t.Synonyms))
	for i, y := range t.Synonyms {
		names[i] = y.Name
	}
	return names
}

// overridden tells whether a value was set at run time under another name of the same: this one then counts for nothing.
func (st *state) overridden(s *Setting) bool {
	t := lookup(Topic, s.Topic)
	if t == nil || len(t.Synonyms) < 2 {
		return false
	}
	for _, y := range t.Synonyms {
		for i := range st.dynamic {
			if _, ok := st.dynamic[i].of(setting(y.Name)); ok && y.Name != s.Name {
				return true
			}
		}
	}
	return false
}

// found lists the values of a broker setting, strongest first. As in Kafka the list begins where the name itself was found.
func (st *state) found(name string, names []string, sensitive bool) []EntrySynonym {
	var list []EntrySynonym
	add := func(name, text string, source Source) {
		y := EntrySynonym{Name: name, Value: text, Null: sensitive, Source: source}
		if sensitive {
			y.Value = ""
		}
		list = append(list, y)
	}
	for i := range st.dynamic {
		for _, n := range names {
			if text, ok := st.dynamic[i].set[n]; ok {
				add(n, text, st.dynamic[i].source)
			}
		}
	}
	for _, n := range names {
		if v, ok := st.set[idName(n)]; ok && v.source != Default {
			add(n, v.text, v.source)
		}
	}
	for _, n := range names {
		s := lookup(Broker, n)
		if v, ok := st.set[n]; ok && v.source == Default {
			add(n, v.text, Default)
		} else if s != nil && !s.Null {
			add(n, s.Default, Default)
		}
	}
	for i := range list {
		if list[i].Name == name {
			return list[i:]
		}
	}
	return nil
}

// idName: the older name always shows what node.id is.
func idName(name string) string {
	if name == "broker.id" {
		return "node.id"
	}
	return name
}

// DescribeTopic returns every topic setting, sorted by name; set holds what the topic itself has. As in Kafka a value that comes from an
// older name of a broker setting (log.retention.hours) does not say so.
func (c *Config) DescribeTopic(set map[string]string) []Entry {
	st := c.state.Load()
	entries := make([]Entry, 0, len(Topic))
	for i := range Topic {
		s := &Topic[i]
		text, _ := st.topicDefault(s)
		var synonyms []EntrySynonym
		if own, ok := set[s.Name]; ok {
			text = own
			synonyms = append(synonyms, EntrySynonym{s.Name, s.shown(own), s.Sensitive, DynamicTopic})
		}
		if len(s.Synonyms) > 0 {
			b := setting(s.Synonyms[0].Name)
			synonyms = append(synonyms, st.found(b.Name, synonymsOf(b, b.Name), s.Sensitive)...)
		}
		e := Entry{Name: s.Name, Value: s.shown(text), Source: Default, Sensitive: s.Sensitive, Type: s.Type, Doc: s.Doc, Synonyms: synonyms}
		if len(synonyms) > 0 {
			e.Source = synonyms[0].Source
		}
		entries = append(entries, e)
	}
	return entries
}

// EffectiveTopic returns every topic setting as CreateTopics answers it: the values as they were set, each with the place it comes from.
func (c *Config) EffectiveTopic(set map[string]string) []Entry {
	st := c.state.Load()
	entries := make([]Entry, 0, len(Topic))
	for i := range Topic {
		s := &Topic[i]
		text, source := st.topicDefault(s)
		if own, ok := set[s.Name]; ok {
			text, source = own, DynamicTopic
		}
		entries = append(entries, Entry{Name: s.Name, Value: text, Source: source, Sensitive: s.Sensitive, Type: s.Type})
	}
	return entries
}

// scaled turns a number of minutes or hours into milliseconds; negative numbers mean no limit in every unit.
func scaled(text string, scale int64) string {
	if scale == 1 {
		return text
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return text
	}
	return strconv.FormatInt(n*scale, 10)
}

// topicDefault is the value of a topic setting that the topic does not set: that of the first synonym somebody set, else the
// default of the first that has one, else the topic setting's own.
func (st *state) topicDefault(s *Setting) (text string, source Source) {
	for _, synonym := range s.Synonyms {
		if text, _, source := st.get(setting(synonym.Name)); source != Default {
			return scaled(text, synonym.Scale), source
		}
	}
	for _, synonym := range s.Synonyms {
		if text, null, _ := st.get(setting(synonym.Name)); !null {
			return scaled(text, synonym.Scale), Default
		}
	}
	return s.Default, Default
}
