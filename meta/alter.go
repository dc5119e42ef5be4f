package meta

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/wire"
)

// ConfigOp says what a change does to a setting; the numbers are Kafka's.
type ConfigOp int8

const (
	SetConfig      ConfigOp = 0
	DeleteConfig   ConfigOp = 1
	AppendConfig   ConfigOp = 2 // adds elements to a list
	SubtractConfig ConfigOp = 3 // takes elements out of a list
)

// ConfigChange changes one setting.
type ConfigChange struct {
	Op          ConfigOp
	Name, Value string
	Null        bool // Value is null
}

// ResourceChange changes the settings of one resource.
type ResourceChange struct {
	Resource Resource
	Changes  []ConfigChange
	Replace  bool // what Changes do not name is removed; all of them set
}

// ResourceResult is what became of one ResourceChange.
type ResourceResult struct {
	Resource Resource
	Code     wire.Code
	Message  string // "" when the code says it all
}

// maxConfigValue is the longest value of a setting; it is Kafka's limit.
const maxConfigValue = 32767

// maxAllConfigBytes bounds what the settings of all resources together may take in every image.
const maxAllConfigBytes = 64 << 20

func refuseResource(r Resource, code wire.Code, format string, args ...any) ResourceResult {
	return ResourceResult{r, code, fmt.Sprintf(format, args...)}
}

// AlterConfigs decides on changed settings, each resource by itself: the records change those whose result has code None. Settings that
// have the value asked for already need no record. A resource that the request has twice is refused both times. The codes and texts are
// Kafka's. self is the broker that was asked: it alone knows which values its settings may have.
func AlterConfigs(im *Image, changes []ResourceChange, self int32, rules *Rules) ([]Record, []ResourceResult) {
	var records []Record
	results := make([]ResourceResult, 0, len(changes))
	times := make(map[Resource]int, len(changes))
	for i := range changes {
		times[changes[i].Resource]++
	}
	room := maxAllConfigBytes - im.configBytes
	for i := range changes {
		c := &changes[i]
		if times[c.Resource] > 1 {
			results = append(results, refuseResource(c.Resource, wire.InvalidRequest, "Each resource must appear at most once."))
			continue
		}
		rs, result := alterResource(im, c, self, rules, &room)
		records = append(records, rs...)
		results = append(results, result)
	}
	return append(records, lowerMinISR(im, records, rules)...), results
}

func alterResource(im *Image, c *ResourceChange, self int32, rules *Rules, room *int) ([]Record, ResourceResult) {
	if result := c.check(); result.Code != wire.None {
		return nil, result
	}
	resource := c.Resource
	if resource.Type == BrokerResource && resource.Name != "" {
		id, err := strconv.ParseInt(resource.Name, 10, 32)
		switch {
		case err != nil:
			return nil, refuseResource(c.Resource, wire.InvalidRequest, "Node id must be an integer, but it is: %s", resource.Name)
		case int32(id) != self:
			return nil, refuseResource(c.Resource, wire.InvalidRequest, "Unexpected broker id, expected %d, but received %s", self, resource.Name)
		}
		resource.Name = strconv.Itoa(int(id)) // 01 is 1
	}
	was := im.Config(resource)
	set, result := c.applied(was, rules)
	if result.Code != wire.None {
		return nil, result
	}
	if result := existing(im, c.Resource); result.Code != wire.None {
		return nil, result
	}
	if message := tooLarge(set); message != "" {
		return nil, refuseResource(c.Resource, wire.InvalidConfig, "%s", message)
	}
	if err := rules.check(resource, set); err != nil {
		code := wire.InvalidConfig
		if resource.Type == BrokerResource {
			code = wire.InvalidRequest
		}
		return nil, refuseResource(c.Resource, code, "%s", err)
	}
	if grows := settingsSize(set) - settingsSize(was); grows > 0 && grows > *room {
		return nil, refuseResource(c.Resource, wire.PolicyViolation, "The settings of all topics and brokers together may take %d bytes: "+
			"there is no room for %d more.", maxAllConfigBytes, grows)
	} else {
		*room -= grows
	}
	return difference(resource, was, set), ResourceResult{Resource: c.Resource}
}

// check looks at the request alone.
func (c *ResourceChange) check() ResourceResult {
	seen := make(map[string]bool, len(c.Changes))
	var nulls []string
	for _, change := range c.Changes {
		if seen[change.Name] {
			return refuseResource(c.Resource, wire.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[change.Name] = true
		if change.Null && (change.Op != DeleteConfig || c.Replace) {
			nulls = append(nulls, change.Name)
		}
	}
	if len(nulls) > 0 {
		return refuseResource(c.Resource, wire.InvalidRequest, "Null value not supported for : %s", strings.Join(nulls, ","))
	}
	if c.Resource.Type != TopicResource && c.Resource.Type != BrokerResource {
		return refuseResource(c.Resource, wire.InvalidRequest, "Unknown resource type %d", c.Resource.Type)
	}
	return ResourceResult{Resource: c.Resource}
}

// existing refuses topics that are not there.
func existing(im *Image, r Resource) ResourceResult {
	if r.Type != TopicResource {
		return ResourceResult{Resource: r}
	}
	if r.Name == "" {
		return refuseResource(r, wire.InvalidRequest, "Default topic resources are not allowed.")
	}
	if reason := CheckName(r.Name); reason != "" {
		return refuseResource(r, wire.InvalidTopicException, "%s", reason)
	}
	if im.TopicByName(r.Name) == nil {
		return refuseResource(r, wire.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.Name)
	}
	return ResourceResult{Resource: r}
}

// applied is what the settings of the resource become.
func (c *ResourceChange) applied(was map[string]string, rules *Rules) (map[string]string, ResourceResult) {
	set := make(map[string]string, len(was)+len(c.Changes))
	if !c.Replace {
		maps.Copy(set, was)
	}
	for _, change := range c.Changes {
		switch change.Op {
		case SetConfig:
			set[change.Name] = change.Value
		case DeleteConfig:
			delete(set, change.Name)
		case AppendConfig, SubtractConfig:
			list, result := c.changedList(set, &change, rules)
			if result.Code != wire.None {
				return nil, result
			}
			set[change.Name] = list
		default:
			if c.Resource.Type == BrokerResource {
				return nil, refuseResource(c.Resource, wire.InvalidRequest, "Unknown operations type %d", change.Op)
			}
			return nil, ResourceResult{Resource: c.Resource, Code: wire.UnknownServerError} // as Kafka
		}
	}
	return set, ResourceResult{Resource: c.Resource}
}

// changedList is what a list becomes to which elements are added, each once, or from which they are taken. One that is not set begins as
// the setting's default.
func (c *ResourceChange) changedList(set map[string]string, change *ConfigChange, rules *Rules) (string, ResourceResult) {
	verb, act := "APPEND", "append"
	if change.Op == SubtractConfig {
		verb, act = "SUBTRACT", "subtract"
	}
	def, list, known := rules.list(c.Resource.Type, change.Name)
	switch {
	case list:
	case c.Resource.Type != BrokerResource:
		return "", refuseResource(c.Resource, wire.InvalidConfig, "Can't %s to key %s because its type is not LIST.", verb, change.Name)
	case !known:
		return "", refuseResource(c.Resource, wire.InvalidConfig, "Unknown config name: %s", change.Name)
	default:
		return "", refuseResource(c.Resource, wire.InvalidConfig, "Config value %s is not allowed for config key: %s", act, change.Name)
	}
	text, ok := set[change.Name]
	if !ok {
		text = def
	}
	items, named := listItems(text), listItems(change.Value)
	if change.Op == SubtractConfig {
		items = without(items, named)
	} else {
		items = append(items, without(distinctItems(named), items)...)
	}
	return strings.Join(items, ","), ResourceResult{}
}

// without takes each of those named out of a list, once for each time it is named. Lists may have thousands of elements.
func without(items, named []string) []string {
	times := make(map[string]int, len(named))
	for _, item := range named {
		times[item]++
	}
	return slices.DeleteFunc(items, func(item string) bool {
		times[item]--
		return times[item] >= 0
	})
}

func distinctItems(items []string) []string {
	seen := make(map[string]bool, len(items))
	return slices.DeleteFunc(items, func(item string) bool {
		twice := seen[item]
		seen[item] = true
		return twice
	})
}

func listItems(text string) []string {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	items := strings.Split(text, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// tooLarge tells what of a resource's settings is too long, or "".
func tooLarge(set map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if len(set[name]) > maxConfigValue {
			return fmt.Sprintf("The configuration value cannot be added because it exceeds the maximum value size of %d bytes.", maxConfigValue)
		}
	}
	if size := settingsSize(set); size > maxConfigBytes {
		return fmt.Sprintf("The settings take %d bytes, more than the %d allowed of one topic or broker", size, maxConfigBytes)
	}
	return ""
}

// settingSize is about what one setting takes in a map.
func settingSize(name, value string) int { return len(name) + len(value) + settingOverhead }

const settingOverhead = 32

func settingsSize(m map[string]string) (size int) {
	for name, value := range m {
		size += settingSize(name, value)
	}
	return size
}

// difference are the records that turn the settings of a resource from one into the other.
func difference(r Resource, was, set map[string]string) (rs []Record) {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, kept := set[name]; !kept {
			rs = append(rs, ConfigRecord{Resource: r, Name: name, Remove: true})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if value, had := was[name]; !had || value != set[name] {
			rs = append(rs, ConfigRecord{Resource: r, Name: name, Value: set[name]})
		}
	}
	return rs
}

// list asks what the rules know of a list: its default, whether the setting is one, and whether there is such a setting.
func (r *Rules) list(kind ResourceType, name string) (def string, list, known bool) {
	if r.ListConfig == nil {
		return "", false, false
	}
	return r.ListConfig(kind, name)
}

func (r *Rules) check(resource Resource, set map[string]string) error {
	switch {
	case resource.Type == TopicResource && r.CheckConfig != nil:
		return r.CheckConfig(set)
	case resource.Type == BrokerResource && r.CheckBroker != nil:
		return r.CheckBroker(set, resource.Name != "")
	}
	return nil
}
