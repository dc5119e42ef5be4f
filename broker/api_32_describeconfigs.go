package broker

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
)

// DescribeConfigs, versions 1-4: the settings in force of topics and brokers, with where each value comes from. protocol.md 2.4, 31.
//
//   - No keys named, null or an empty list, means all settings; names that are no settings are passed over.
//   - A broker's settings are known to itself alone, so it must be asked. The broker named "" is the default of all brokers: what has been set
//     for all at run time.
//   - An answer is at most about 32 MiB, whatever the request; the resources it has no room for are refused and can be asked for again.
//   - Groups and client metrics have no settings here; a resource of these kinds is refused. A broker's loggers have none: the answer is empty.

const (
	topicResource        = 2
	brokerResource       = 4
	brokerLoggerResource = 8
)

// maxConfigsAnswer bounds the answer and the work: eight bytes of a request can ask for 350 settings with their texts, or for none of them.
const maxConfigsAnswer = 32 << 20

func (n *Node) handleDescribeConfigs(c *call) {
	req := new(wire.DescribeConfigsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	// A request may name thousands of resources with 350 settings each: not on the connection's loop.
	n.workers.check.Go(func() {
		d := configsAnswer{node: n, synonyms: req.IncludeSynonyms, docs: req.IncludeDocumentation}
		d.resp.Default()
		for i := range req.Resources {
			d.describe(&req.Resources[i])
		}
		c.respond(func(dst []byte) []byte { return d.resp.Append(c.header.Version, dst) })
	})
}

// configsAnswer is an answer in the making.
type configsAnswer struct {
	node           *Node
	synonyms, docs bool // wanted
	resp           wire.DescribeConfigsResponse
	size           int            // about, in bytes
	broker         []config.Entry // the settings of this broker, once they have been asked for
}

func (d *configsAnswer) describe(resource *wire.DescribeConfigsRequestResource) {
	result := d.resp.AddResult()
	d.size += 16 + len(resource.ResourceName)
	result.ResourceType, result.ResourceName = resource.ResourceType, resource.ResourceName
	if d.size > maxConfigsAnswer {
		result.ErrorCode, result.ErrorMessage = wire.PolicyViolation, wire.Str("The answer would be too large: ask for fewer resources at a time.")
		return
	}
	entries, err := d.entries(resource.ResourceType, resource.ResourceName)
	if err != nil {
		result.ErrorCode, result.ErrorMessage = err.code, wire.Str(err.text)
		return
	}
	result.ErrorMessage = wire.Str("") // as Kafka
	d.size += 16 * len(entries)        // looking at them is not free, even when none is wanted
	var wanted map[string]bool
	if len(resource.ConfigurationKeys) > 0 {
		wanted = make(map[string]bool, len(resource.ConfigurationKeys))
		for _, key := range resource.ConfigurationKeys {
			wanted[key] = true
		}
	}
	for i := range entries {
		if wanted == nil || wanted[entries[i].Name] {
			d.add(result, &entries[i])
		}
	}
}

func (d *configsAnswer) add(result *wire.DescribeConfigsResponseResult, e *config.Entry) {
	s := result.AddConfig()
	s.Name, s.Value, s.ReadOnly = e.Name, entryValue(*e), e.ReadOnly
	s.ConfigSource, s.IsSensitive, s.ConfigType = int8(e.Source), e.Sensitive, int8(e.Type)
	d.size += 16 + len(e.Name) + len(e.Value)
	if d.docs {
		s.Documentation = wire.Str(e.Doc)
		d.size += len(e.Doc)
	}
	if !d.synonyms {
		return
	}
	for _, from := range e.Synonyms {
		y := s.AddSynonym()
		y.Name, y.Source = from.Name, int8(from.Source)
		if !from.Null {
			y.Value = wire.Str(from.Value)
		}
		d.size += 8 + len(from.Name) + len(from.Value)
	}
}

// entries are the settings of a resource, by name.
func (d *configsAnswer) entries(kind int8, name string) ([]config.Entry, *refusal) {
	n := d.node
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
			return n.config.DescribeDefault(), nil
		}
		id, err := strconv.ParseInt(name, 10, 32)
		switch {
		case err != nil:
			return nil, &refusal{wire.InvalidRequest, fmt.Sprintf("Broker id must be an integer, but it is: %s", name)}
		case int32(id) != n.id:
			return nil, &refusal{wire.InvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %d", n.id, id)}
		}
		if d.broker == nil {
			d.broker = n.config.Describe()
		}
		return d.broker, nil
	case brokerLoggerResource:
		if name == "" {
			return nil, &refusal{wire.InvalidRequest, "Broker id must not be empty"}
		}
		id, err := strconv.ParseInt(name, 10, 32)
		switch {
		case err != nil:
			return nil, &refusal{wire.InvalidRequest, fmt.Sprintf("Broker id must be an integer, but it is: %s", name)}
		case int32(id) != n.id:
			return nil, &refusal{wire.InvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d but received %d", n.id, id)}
		}
		return nil, nil
	}
	return nil, &refusal{wire.InvalidRequest, wire.InvalidRequest.Message()}
}
