package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/config"
)

// resource is what has settings.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// resourceHelp explains how one is written.
const resourceHelp = `RESOURCE is topic/NAME, broker/ID, brokers (what holds for every broker that has no setting of its own), group/NAME,
client-metrics/NAME or broker-logger/ID.`

var resourceKinds = []struct {
	word string
	kind kmsg.ConfigResourceType
}{
	{"topic", kmsg.ConfigResourceTypeTopic},
	{"broker", kmsg.ConfigResourceTypeBroker},
	{"group", kmsg.ConfigResourceTypeGroupConfig},
	{"client-metrics", kmsg.ConfigResourceTypeClientMetrics},
	{"broker-logger", kmsg.ConfigResourceTypeBrokerLogger},
}

func parseResource(text string) (resource, error) {
	if text == "brokers" {
		return resource{kmsg.ConfigResourceTypeBroker, ""}, nil
	}
	word, name, ok := strings.Cut(text, "/")
	if ok && name != "" {
		for _, k := range resourceKinds {
			if k.word != word {
				continue
			}
			if _, err := strconv.ParseInt(name, 10, 32); err != nil && strings.HasPrefix(word, "broker") {
				return resource{}, fmt.Errorf("%s: a broker is named by its number, like %s/1", text, word)
			}
			return resource{k.kind, name}, nil
		}
	}
	err := fmt.Errorf("%q is no resource: want topic/NAME, broker/ID, brokers, group/NAME, client-metrics/NAME or broker-logger/ID", text)
	if !ok && text != "" {
		return resource{}, &failure{exitUsage, "usage", err.Error(), fmt.Sprintf("did you mean topic/%s?", text)}
	}
	return resource{}, err
}

func (r resource) String() string {
	if r.kind == kmsg.ConfigResourceTypeBroker && r.name == "" {
		return "brokers"
	}
	for _, k := range resourceKinds {
		if k.kind == r.kind {
			return k.word + "/" + r.name
		}
	}
	return r.name
}

// ownSource is where the broker says a value comes from that was set on the resource itself.
func (r resource) ownSource() string {
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		return kmsg.ConfigSourceDynamicTopicConfig.String()
	case kmsg.ConfigResourceTypeBrokerLogger:
		return kmsg.ConfigSourceDynamicBrokerLoggerConfig.String()
	case kmsg.ConfigResourceTypeGroupConfig:
		return kmsg.ConfigSourceGroupConfig.String()
	case kmsg.ConfigResourceTypeClientMetrics:
		return kmsg.ConfigSourceClientMetricsConfig.String()
	}
	if r.name == "" {
		return kmsg.ConfigSourceDynamicDefaultBrokerConfig.String()
	}
	return kmsg.ConfigSourceDynamicBrokerConfig.String()
}

// setting is one setting of a resource as the broker describes it.
type setting struct {
	Name      string  `json:"name"`
	Value     *string `json:"value"` // null: there is none, or it is sensitive
	Source    string  `json:"source"`
	Default   *string `json:"default"`
	Type      string  `json:"type"`
	ReadOnly  bool    `json:"read_only"`
	Sensitive bool    `json:"sensitive"`
}

// own reports whether somebody set it on this resource or for all of them.
func (s setting) own() bool { return s.Source != "DEFAULT_CONFIG" }

func (s setting) shown() string { return shown(s.Value, s.Sensitive) }

func shown(value *string, sensitive bool) string {
	switch {
	case sensitive:
		return "(hidden)"
	case value == nil:
		return "(none)"
	}
	return *value
}

// from is where the value comes from, in short.
func (s setting) from() string {
	return strings.ToLower(strings.TrimSuffix(s.Source, "_CONFIG"))
}

// settings asks for the settings of a resource, by name.
func (cl *cluster) settings(ctx context.Context, r resource) ([]setting, error) {
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.IncludeSynonyms = true
	one := kmsg.NewDescribeConfigsRequestResource()
	one.ResourceType, one.ResourceName = r.kind, r.name
	request.Resources = append(request.Resources, one)
	if err := cl.brokerThere(ctx, r); err != nil {
		return nil, err
	}
	response, err := request.RequestWith(ctx, cl.raw)
	if err != nil {
		return nil, err
	}
	if len(response.Resources) != 1 {
		return nil, fmt.Errorf("%s: the broker says nothing about it", r)
	}
	answer := response.Resources[0]
	if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
		return nil, cl.resourceError(ctx, r, err, answer.ErrorMessage)
	}
	settings := []setting{}
	for _, c := range answer.Configs {
		s := setting{c.Name, c.Value, c.Source.String(), nil, strings.ToLower(c.ConfigType.String()), c.ReadOnly, c.IsSensitive}
		if c.Source == kmsg.ConfigSourceDefaultConfig {
			s.Default = c.Value
		}
		for _, synonym := range c.ConfigSynonyms {
			if synonym.Source == kmsg.ConfigSourceDefaultConfig && synonym.Value != nil && s.Default == nil {
				s.Default = inUnitOf(c.Name, synonym.Name, *synonym.Value)
			}
		}
		if s.Default == nil && r.kind == kmsg.ConfigResourceTypeTopic {
			s.Default = topicDefault(c.Name)
		}
		settings = append(settings, s)
	}
	slices.SortFunc(settings, func(a, b setting) int { return strings.Compare(a.Name, b.Name) })
	return settings, nil
}

// topicDefault is Kafka's own default of a topic's setting: brokers do not tell it where their setting in another unit decides.
func topicDefault(name string) *string {
	for _, s := range config.Topic {
		if s.Name == name && !s.Null {
			return &s.Default
		}
	}
	return nil
}

// inUnitOf turns a default of log.retention.hours into that of retention.ms.
func inUnitOf(name, synonym, value string) *string {
	if !strings.HasSuffix(name, ".ms") {
		return &value
	}
	for unit, factor := range map[string]int64{".minutes": 60_000, ".hours": 3_600_000} {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && strings.HasSuffix(synonym, unit) {
			value = strconv.FormatInt(n*factor, 10)
			break
		}
	}
	return &value
}

// brokerThere fails for a broker that is not in the cluster: the client would wait for it.
func (cl *cluster) brokerThere(ctx context.Context, r resource) error {
	if r.kind != kmsg.ConfigResourceTypeBroker && r.kind != kmsg.ConfigResourceTypeBrokerLogger || r.name == "" {
		return nil
	}
	brokers, err := cl.ListBrokers(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, id := range brokers.NodeIDs() {
		ids = append(ids, fmt.Sprint(id))
	}
	if slices.Contains(ids, r.name) {
		return nil
	}
	return &failure{exitFailed, "unknown_broker", fmt.Sprintf("there is no broker %s (there are %s)", r.name, strings.Join(ids, ", ")), "millrace cluster info shows them"}
}

// resourceError is what the broker has against a resource or a change of it.
func (cl *cluster) resourceError(ctx context.Context, r resource, err error, message *string) error {
	if err == kerr.UnknownTopicOrPartition && r.kind == kmsg.ConfigResourceTypeTopic {
		return cl.noSuchTopic(ctx, r.name)
	}
	text := ""
	if message != nil {
		text = *message
	}
	f := explain(err)
	return &failure{f.exit, f.code, r.String() + ": " + kafkaError(err, text), f.hint}
}
