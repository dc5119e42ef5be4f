package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// layer is what was set at run time, of one broker or of all. Immutable.
type layer struct {
	set    map[string]string
	source Source
}

// of returns the value of a setting, when there is one that may be changed at run time here and is valid: others, of another version
// of the table, are as if they were not there.
func (l *layer) of(s *Setting) (text string, ok bool) {
	if len(l.set) == 0 {
		return "", false
	}
	text, ok = l.set[s.Name]
	if !ok || s.Update == ReadOnly || fixed[s.Name] || s.Update == PerBroker && l.source != DynamicBroker || s.refusal(text) != "" {
		return "", false
	}
	return strings.TrimSpace(text), true
}

// fixed are settings that Kafka changes at run time and Millrace does not.
var fixed = map[string]bool{"listeners": true, "listener.security.protocol.map": true}

// perListener are the settings that can be changed at run time for one listener only, with its prefix.
var perListener = []string{"ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password",
	"ssl.keystore.type", "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type"}

// quotas are the broker settings that exist at run time only.
var quotas = []Setting{
	{Name: "follower.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Max: maxLong, Update: ClusterWide, Support: NoEffect, Doc: "Most bytes a second that replicas listed as throttled followers receive."},
	{Name: "leader.replication.throttled.rate", Type: Long, Default: "9223372036854775807", Max: maxLong, Update: ClusterWide, Support: NoEffect, Doc: "Most bytes a second that replicas listed as throttled leaders send."},
	{Name: "replica.alter.log.dirs.io.max.bytes.per.second", Type: Long, Default: "9223372036854775807", Max: maxLong, Update: ClusterWide, Support: NoEffect, Doc: "Most bytes a second that move between log directories."},
}

// SetDynamic puts what was set at run time, for this broker and for all, in place of what was before. Neither map may change afterwards.
func (c *Config) SetDynamic(broker, cluster map[string]string) {
	c.changing.Lock()
	defer c.changing.Unlock()
	st := *c.state.Load()
	st.dynamic = [2]layer{{broker, DynamicBroker}, {cluster, DynamicDefaultBroker}}
	st.topic = st.topicDefaults()
	c.state.Store(&st)
}

// brokerSetting finds the row of a broker setting, also of one with a listener's prefix. base is its name without the prefix.
func brokerSetting(name string) (s *Setting, base string) {
	if s := lookup(Broker, name); s != nil {
		return s, name
	}
	if s := lookup(quotas, name); s != nil {
		return s, name
	}
	if rest, ok := strings.CutPrefix(name, "listener.name."); ok {
		for {
			var found bool
			if _, rest, found = strings.Cut(rest, "."); !found {
				return nil, name
			}
			if s := lookup(Broker, rest); s != nil {
				return s, rest
			}
		}
	}
	return nil, name
}

// ListSetting says of a broker setting, or of a topic's, what it is when it is not set and whether it is a list. known: there is such a
// setting.
func ListSetting(topic bool, name string) (def string, list, known bool) {
	var s *Setting
	if topic {
		s = lookup(Topic, name)
	} else {
		s, _ = brokerSetting(name)
	}
	if s == nil {
		return "", false, false
	}
	return s.Default, s.Type == List, true
}

// CheckDynamic checks all that is to be set at run time for one broker, or for all. What is wrong is told in Kafka's words. Like Kafka it
// lets pass what it does not know: plug-ins have settings, too.
func (c *Config) CheckDynamic(set map[string]string, oneBroker bool) error {
	var readOnly, security, each []string
	names := slices.Sorted(maps.Keys(set))
	for _, name := range names {
		s, base := brokerSetting(name)
		switch {
		case s == nil:
			continue
		case base == name && (s.Update == ReadOnly || fixed[name]):
			readOnly = append(readOnly, name)
		case slices.Contains(perListener, name):
			security = append(security, name)
		}
		if s.Update == PerBroker || base != name {
			each = append(each, name)
		}
	}
	if len(readOnly) > 0 {
		return refuseNames("Cannot update these configs dynamically", readOnly)
	}
	if len(security) > 0 {
		return refuseNames("These security configs can be dynamically updated only per-listener using the listener prefix", security)
	}
	for _, name := range names {
		s, _ := brokerSetting(name)
		if s == nil {
			continue
		}
		if err := refused(s.refusal(set[name])); err != nil {
			return err
		}
	}
	if !oneBroker && len(each) > 0 {
		return refuseNames("Cannot update these configs at default cluster level, broker id must be specified", each)
	}
	return c.checkWhole(set, oneBroker)
}

// threadPools are sizes that Kafka lets change to half or double at most, at a time.
var threadPools = []string{"background.threads", "num.io.threads", "num.network.threads", "num.recovery.threads.per.data.dir", "num.replica.fetchers"}

// checkWhole looks at the broker that would result.
func (c *Config) checkWhole(set map[string]string, oneBroker bool) error {
	was := c.state.Load()
	is := *was
	if oneBroker {
		is.dynamic[0] = layer{set, DynamicBroker}
	} else {
		is.dynamic[1] = layer{set, DynamicDefaultBroker}
	}
	if is.int64("log.cleaner.dedupe.buffer.size")/(1<<20) < is.int64("log.cleaner.threads") {
		return refused("requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.")
	}
	invalid := func(why string) error {
		return refused("Invalid value org.apache.kafka.common.config.ConfigException: " + why + " for configuration Invalid dynamic configuration")
	}
	switch before, after := was.int64("log.cleaner.threads"), is.int64("log.cleaner.threads"); {
	case after == before:
	case after < 1:
		return invalid("Log cleaner threads should be at least 1")
	case after < before/2:
		return invalid(fmt.Sprintf("Log cleaner threads cannot be reduced to less than half the current value %d", before))
	case after > 2*before:
		return invalid(fmt.Sprintf("Log cleaner threads cannot be increased to more than double the current value %d", before))
	}
	for _, name := range threadPools {
		before, after, why := was.int64(name), is.int64(name), ""
		switch {
		case after > 2*before:
			why = "value should not be greater than double the current value"
		case after < before/2:
			why = "value should be at least half the current value"
		default:
			continue
		}
		return invalid(fmt.Sprintf("Dynamic thread count update validation failed for %s=%d, %s %d", name, after, why, before))
	}
	return nil
}

func refuseNames(why string, names []string) error {
	return fmt.Errorf("%s: [%s]", why, strings.Join(names, ", "))
}
