package config

import (
	"strconv"
	"strings"
)

// Entry is one setting with the value in force, as DescribeConfigs answers it.
type Entry struct {
	Name, Value         string
	Null                bool // there is no value, or it is not shown
	Source              Source
	ReadOnly, Sensitive bool
	Type                Type
	Doc                 string
	Synonyms            []EntrySynonym // strongest first; the first is the value in force
}

// EntrySynonym is one of the places a value was looked for and found.
type EntrySynonym struct {
	Name, Value string
	Null        bool // not shown
	Source      Source
}

// Describe returns every broker setting, sorted by name.
func (c *Config) Describe() []Entry {
	st := c.state.Load()
	entries := make([]Entry, 0, len(Broker))
	for i := range Broker {
		s := &Broker[i]
		text, null, source := st.get(s)
		e := s.entry(text, null, source)
		e.ReadOnly = s.Update == ReadOnly
		e.Synonyms = st.found(nil, s, 1)
		entries = append(entries, e)
	}
	return entries
}

// DescribeTopic returns every topic setting, sorted by name; set holds what the topic itself has.
func (c *Config) DescribeTopic(set map[string]string) []Entry {
	st := c.state.Load()
	entries := make([]Entry, 0, len(Topic))
	for i := range Topic {
		s := &Topic[i]
		var synonyms []EntrySynonym
		text, source := st.topicDefault(s)
		if own, ok := set[s.Name]; ok {
			text, source = own, DynamicTopic
			synonyms = append(synonyms, EntrySynonym{s.Name, own, s.Sensitive, DynamicTopic})
		}
		for _, synonym := range s.Synonyms {
			synonyms = st.found(synonyms, setting(synonym.Name), synonym.Scale)
		}
		e := s.entry(text, false, source)
		e.Synonyms = synonyms
		entries = append(entries, e)
	}
	return entries
}

func (s *Setting) entry(text string, null bool, source Source) Entry {
	e := Entry{Name: s.Name, Value: text, Null: null, Source: source, Sensitive: s.Sensitive, Type: s.Type, Doc: s.Doc}
	if s.Sensitive || null {
		e.Value, e.Null = "", true
	}
	return e
}

// found appends the value that was set and the default of one broker setting, where there are such.
func (st *state) found(list []EntrySynonym, s *Setting, scale int64) []EntrySynonym {
	add := func(text string, source Source) {
		synonym := EntrySynonym{s.Name, scaled(text, scale), s.Sensitive, source}
		if s.Sensitive {
			synonym.Value = ""
		}
		list = append(list, synonym)
	}
	text, null, source := st.get(s)
	if !null {
		add(text, source)
	}
	if source != Default && !s.Null {
		add(s.Default, Default)
	}
	return list
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
