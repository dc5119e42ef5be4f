package meta

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

// withTopic is an image with one topic, t.
func withTopic(t *testing.T) *Image {
	t.Helper()
	im, err := Empty().Apply([]Record{TopicRecord{"t", wire.UUID{1}}, PartitionRecord{TopicID: wire.UUID{1}, Partition: Partition{Replicas: []int32{1}}}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func alter(t *testing.T, im *Image, r Resource, settings ...string) (*Image, ResourceResult) {
	t.Helper()
	c := ResourceChange{Resource: r}
	for i := 0; i < len(settings); i += 2 {
		c.Changes = append(c.Changes, ConfigChange{Name: settings[i], Value: settings[i+1]})
	}
	rs, results := AlterConfigs(im, []ResourceChange{c}, 1, &Rules{})
	if len(rs) == 0 {
		return im, results[0]
	}
	next, err := im.Apply(rs, im.Index()+1)
	if err != nil {
		t.Fatal(err)
	}
	return next, results[0]
}

func TestSettingsOfOneResourceAreBounded(t *testing.T) {
	for _, r := range []Resource{{TopicResource, "t"}, {BrokerResource, "1"}, {BrokerResource, ""}} {
		im, result := alter(t, withTopic(t), r, "a", strings.Repeat("x", maxConfigValue))
		if result.Code != wire.None {
			t.Fatalf("%s: the longest value: %v", r, result)
		}
		if _, result := alter(t, im, r, "b", strings.Repeat("x", maxConfigValue+1)); result.Code != wire.InvalidConfig || !strings.Contains(result.Message, "32767") {
			t.Errorf("%s: a value that is too long: %v", r, result)
		}
		if _, result := alter(t, im, r, "b", strings.Repeat("x", maxConfigValue)); result.Code != wire.InvalidConfig || !strings.Contains(result.Message, "65536") {
			t.Errorf("%s: two of the longest values: %v", r, result)
		}
		var many []string
		for i := range maxConfigBytes / settingOverhead {
			many = append(many, fmt.Sprint(i), "")
		}
		if _, result := alter(t, im, r, many...); result.Code != wire.InvalidConfig {
			t.Errorf("%s: %d empty values: %v", r, len(many)/2, result)
		}
	}
}

// longList is n elements of four digits: with 7,000 about as much as a value takes.
func longList(from, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%04d", (from+i)%10_000)
	}
	return strings.Join(list, ",")
}

var anyList = &Rules{ListConfig: func(ResourceType, string) (string, bool, bool) { return "", true, true }}

func TestLongListsChange(t *testing.T) {
	set := map[string]string{"a": longList(0, 7000)}
	for op, want := range map[ConfigOp]string{AppendConfig: longList(0, 10_000), SubtractConfig: longList(0, 3000)} {
		c := &ResourceChange{Resource: Resource{TopicResource, "t"}}
		if list, result := c.changedList(set, &ConfigChange{Op: op, Name: "a", Value: longList(3000, 7000)}, anyList); list != want || result.Code != wire.None {
			t.Errorf("operation %d leaves %d elements, want %d (%v)", op, len(listItems(list)), len(listItems(want)), result)
		}
	}
}

// A list of thousands of elements is changed by thousands on the quorum's goroutine, where all other changes wait: it must not take quadratic time,
// which would be half a second.
func BenchmarkLongListsChange(b *testing.B) {
	set, c := map[string]string{"a": longList(0, 7000)}, &ResourceChange{Resource: Resource{TopicResource, "t"}}
	change := &ConfigChange{Op: AppendConfig, Name: "a", Value: longList(3000, 7000)}
	for b.Loop() {
		c.changedList(set, change, anyList)
	}
}

func TestSettingsOfAllResourcesAreBounded(t *testing.T) {
	im := withTopic(t)
	im.configBytes = maxAllConfigBytes - 200
	im, result := alter(t, im, Resource{TopicResource, "t"}, "a", strings.Repeat("x", 100))
	if result.Code != wire.None {
		t.Fatalf("what there is room for: %v", result)
	}
	if _, result := alter(t, im, Resource{BrokerResource, ""}, "a", strings.Repeat("x", 100)); result.Code != wire.PolicyViolation {
		t.Errorf("what there is no room for: %v", result)
	}
	if _, result := alter(t, im, Resource{TopicResource, "t"}, "a", "y"); result.Code != wire.None {
		t.Errorf("less than before: %v", result)
	}
}

// What settings take is counted whatever the way they come and go.
func TestSettingsAreCounted(t *testing.T) {
	im := withTopic(t)
	topic, broker := Resource{TopicResource, "t"}, Resource{BrokerResource, "1"}
	im, _ = alter(t, im, topic, "a", "1", "b", "22")
	im, _ = alter(t, im, broker, "c", "333")
	im, _ = alter(t, im, topic, "a", "4444")
	want := settingSize("a", "4444") + settingSize("b", "22") + settingSize("c", "333")
	if im.ConfigBytes() != want {
		t.Errorf("%d bytes, want %d", im.ConfigBytes(), want)
	}
	again, err := DecodeSnapshot(im.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	if again.ConfigBytes() != want {
		t.Errorf("%d bytes from a snapshot, want %d", again.ConfigBytes(), want)
	}
	im, err = im.Apply([]Record{
		ConfigRecord{Resource: broker, Name: "c", Remove: true}, ConfigRecord{Resource: broker, Name: "c", Value: "5"},
		ConfigRecord{Resource: broker, Name: "c", Remove: true}, RemoveTopicRecord{wire.UUID{1}},
	}, im.Index()+1)
	if err != nil {
		t.Fatal(err)
	}
	if im.ConfigBytes() != 0 || im.Config(broker) != nil {
		t.Errorf("%d bytes of nothing, broker %v", im.ConfigBytes(), im.Config(broker))
	}
}

// A batch of many settings copies its resource's map once, and never touches that of an older image.
func TestManySettingsInOneBatch(t *testing.T) {
	var rs []Record
	for i := range 1000 {
		rs = append(rs, ConfigRecord{Resource: Resource{BrokerResource, ""}, Name: fmt.Sprint("k", i), Value: "v"})
	}
	old := withTopic(t)
	old, _ = alter(t, old, Resource{BrokerResource, ""}, "k0", "old")
	allocs := testing.AllocsPerRun(1, func() {
		im, err := old.Apply(rs, old.Index()+1)
		if err != nil || len(im.Config(Resource{BrokerResource, ""})) != 1000 {
			t.Fatal(err, len(im.Config(Resource{BrokerResource, ""})))
		}
	})
	if allocs > 10_000 {
		t.Errorf("%v allocations for 1,000 settings", allocs)
	}
	if m := old.Config(Resource{BrokerResource, ""}); len(m) != 1 || m["k0"] != "old" {
		t.Errorf("the image before has changed: %v", m)
	}
}
