package broker

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// DescribeConfigs, versions 1-4: the settings in force of topics and brokers, with where each value comes from. protocol.md 2.4, 31.
//
//   - No keys named, null or an empty list, means all settings; names that are no settings are passed over.
//   - A broker's settings are known to itself alone, so it must be asked. The broker named "" is the default of all brokers: what has been set
//     for all at run time, which needs IncrementalAlterConfigs, so it is empty yet.
//   - Groups, client metrics and the log levels of a broker have no settings here; a resource of these kinds is refused.

const (
	topicResource        = 2
	brokerResource       = 4
	brokerLoggerResource = 8
)

func (n *Node) handleDescribeConfigs(c *call) {
	req := new(wire.DescribeConfigsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	// A request may name thousands of resources with 350 settings each: not on the connection's loop.
	n.workers.check.Go(func() {
		resp := new(wire.DescribeConfigsResponse)
		resp.Default()
		for i := range req.Resources {
			n.describeConfigs(resp.AddResult(), req, &req.Resources[i])
		}
		c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
	})
}

func (n *Node) describeConfigs(result *wire.DescribeConfigsResponseResult, req *wire.DescribeConfigsRequest, resource *wire.DescribeConfigsRequestResource) {
	result.ResourceType, result.ResourceName = resource.ResourceType, resource.ResourceName
	entries, err := n.configEntries(resource.ResourceType, resource.ResourceName)
	if err != nil {
		result.ErrorCode, result.ErrorMessage = err.code, wire.Str(err.text)
		return
	}
	result.ErrorMessage = wire.Str("") // as Kafka
	for i := range entries {
		e := &entries[i]
		if len(resource.ConfigurationKeys) > 0 && !slices.Contains(resource.ConfigurationKeys, e.Name) {
			continue
		}
		s := result.AddConfig()
		s.Name, s.Value, s.ReadOnly = e.Name, entryValue(*e), e.ReadOnly
		s.ConfigSource, s.IsSensitive, s.ConfigType = int8(e.Source), e.Sensitive, int8(e.Type)
		if req.IncludeDocumentation {
			s.Documentation = wire.Str(e.Doc)
		}
		if !req.IncludeSynonyms {
			continue
		}
		for _, from := range e.Synonyms {
			y := s.AddSynonym()
			y.Name, y.Source = from.Name, int8(from.Source)
			if !from.Null {
				y.Value = wire.Str(from.Value)
			}
		}
	}
}

// configEntries are the settings of a resource, by name.
func (n *Node) configEntries(kind int8, name string) ([]config.Entry, *refusal) {
	switch kind {
	case topicResource:
		if reason := meta.CheckName(name); reason != "" {
			return nil, &refusal{wire.InvalidTopicException, reason}
		}
		t := n.image().TopicByName(name)
		if t == nil {
			return nil, &refusal{wire.UnknownTopicOrPartition, ""}
		}
		return n.config.DescribeTopic(t.Config), nil
	case brokerResource:
		if name == "" {
			return nil, nil
		}
		id, err := strconv.ParseInt(name, 10, 32)
		switch {
		case err != nil:
			return nil, &refusal{wire.InvalidRequest, fmt.Sprintf("Broker id must be an integer, but it is: %s", name)}
		case int32(id) != n.id:
			return nil, &refusal{wire.InvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %s", n.id, name)}
		}
		return n.config.Describe(), nil
	case brokerLoggerResource:
		return nil, &refusal{wire.InvalidRequest, "The log levels of this broker cannot be described."}
	}
	return nil, &refusal{wire.InvalidRequest, wire.InvalidRequest.Message()}
}
