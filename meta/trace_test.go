package meta

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/wire"
)

var rewrite = flag.Bool("rewrite", false, "write what the traces print into their files")

// A trace is a script of the controller with what it prints. The lines of one block are one request:
//
//	register 1 rack=a fenced              a broker
//	fence 1 | unfence 1
//	tail 1                                broker 1 has lost what it had not synced
//	create NAME partitions=3 factor=1 assign=0:1,2/1:2,1 set=k:v,k:v
//	more NAME 5 assign=1,2/2,1            partitions, 5 in all
//	alter topic:NAME|broker:1|broker: k=v -k k+=v k-=v k=null, "replace" for AlterConfigs
//	delete name=NAME id=OF-TOPIC-NAME     by name, by id, or both
//	change NAME 0 leader=2 isr=1,2 replicas= elr= last=
//	configure topic:NAME|broker:1|broker: k:v k:
//	grant 1 epoch=0                       producer ids; epoch is of the registration, that of the broker when left out
//	image                                 prints all
//	reload                                through a snapshot
//
// trace_cluster_test.go has those about several brokers.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runTrace(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s prints something else; look at the difference after go test -rewrite\n%s", file, firstDifference(string(want), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n-%s\n+%s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func runTrace(t *testing.T, script string) string {
	tr := &tracer{t: t, image: Empty(), rand: rand.New(rand.NewPCG(4, 2)).Uint64, sessions: NewSessions(sessionTimeout, 0)}
	if im, err := tr.image.Apply(Bootstrap("trace"), 0); err != nil {
		t.Fatal(err)
	} else {
		tr.image = im
	}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(script), "\n\n") {
		input, _, _ := strings.Cut(block, "\n----")
		if strings.HasPrefix(input, "#") {
			fmt.Fprintf(&out, "%s\n\n", input)
			continue
		}
		tr.out.Reset()
		tr.block(strings.Split(input, "\n"))
		fmt.Fprintf(&out, "%s\n----\n%s\n", input, short.Replace(tr.out.String()))
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

type tracer struct {
	t        *testing.T
	image    *Image
	rand     Rand
	out      bytes.Buffer
	sessions *Sessions
	now      int64
}

// refusedConfig stands for internal/config, which knows the settings.
func refusedConfig(overrides map[string]string) error {
	if _, ok := overrides["nonsense"]; ok {
		return errors.New("Unknown topic config name: nonsense")
	}
	return nil
}

// refusedBroker stands for it, too: broker settings named ro.* cannot be changed.
func refusedBroker(set map[string]string, oneBroker bool) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if strings.HasPrefix(name, "ro.") {
			return fmt.Errorf("Cannot update these configs dynamically: [%s] one=%t", name, oneBroker)
		}
	}
	return nil
}

// listConfig knows one list; names that begin with x are no settings.
func listConfig(kind ResourceType, name string) (def string, list, known bool) {
	return "delete", strings.HasSuffix(name, "cleanup.policy"), !strings.HasPrefix(name, "x")
}

func (tr *tracer) block(lines []string) {
	rules := &Rules{Partitions: 2, ReplicationFactor: 3, CheckConfig: refusedConfig, CheckBroker: refusedBroker, ListConfig: listConfig, Topics: traceTopicRules}
	switch command := strings.Fields(lines[0])[0]; command {
	case "create":
		var topics []NewTopic
		for _, line := range lines {
			topics = append(topics, tr.newTopic(strings.Fields(line)))
		}
		rs, results := CreateTopics(tr.image, topics, rules, tr.rand)
		tr.results(results)
		tr.apply(rs, nil)
	case "more":
		var topics []MorePartitions
		for _, line := range lines {
			words := strings.Fields(line)
			m := MorePartitions{Name: words[1], Count: int32(tr.number(words[2]))}
			if len(words) > 3 {
				m.Assigned = true
				for a := range strings.SplitSeq(strings.TrimPrefix(words[3], "assign="), "/") {
					m.Assignments = append(m.Assignments, tr.numbers(a))
				}
			}
			topics = append(topics, m)
		}
		rs, results := CreatePartitions(tr.image, topics, tr.rand)
		tr.results(results)
		tr.apply(rs, nil)
	case "alter", "replace":
		var changes []ResourceChange
		for _, line := range lines {
			words := strings.Fields(line)
			changes = append(changes, ResourceChange{Resource: resourceOf(words[1]), Changes: configChanges(words[2:]), Replace: words[0] == "replace"})
		}
		rs, results := AlterConfigs(tr.image, changes, 1, rules)
		for _, r := range results {
			if r.Code == wire.None {
				fmt.Fprintf(&tr.out, "%s: ok\n", r.Resource)
			} else {
				fmt.Fprintf(&tr.out, "%s: %s %s\n", r.Resource, r.Code.String(), r.Message)
			}
		}
		tr.apply(rs, nil)
	case "delete":
		var refs []TopicRef
		for _, line := range lines {
			var ref TopicRef
			for _, w := range strings.Fields(line)[1:] {
				switch k, v, _ := strings.Cut(w, "="); k {
				case "name":
					ref.Name, ref.Named = v, true
				case "id":
					if topic := tr.image.TopicByName(v); topic != nil {
						ref.ID = topic.ID
					} else {
						ref.ID = wire.UUID{9}
					}
				}
			}
			refs = append(refs, ref)
		}
		rs, results := DeleteTopics(tr.image, refs)
		tr.results(results)
		tr.apply(rs, nil)
	default:
		if tr.clusterBlock(lines, rules) {
			return
		}
		for _, line := range lines {
			tr.line(strings.Fields(line), rules)
		}
	}
}

func resourceOf(word string) Resource {
	kind, name, _ := strings.Cut(word, ":")
	return Resource{map[string]ResourceType{"topic": TopicResource, "broker": BrokerResource, "group": 32}[kind], name}
}

func configChanges(words []string) (changes []ConfigChange) {
	for _, w := range words {
		var c ConfigChange
		name, value, _ := strings.Cut(w, "=")
		switch {
		case strings.HasPrefix(name, "-"):
			c = ConfigChange{Op: DeleteConfig, Name: name[1:], Null: true}
		case strings.HasPrefix(name, "?"):
			c = ConfigChange{Op: 9, Name: name[1:]}
		case strings.HasSuffix(name, "+"):
			c = ConfigChange{Op: AppendConfig, Name: name[:len(name)-1], Value: value}
		case strings.HasSuffix(name, "-"):
			c = ConfigChange{Op: SubtractConfig, Name: name[:len(name)-1], Value: value}
		default:
			c = ConfigChange{Name: name, Value: value, Null: value == "null"}
		}
		changes = append(changes, c)
	}
	return changes
}

func (tr *tracer) results(results []TopicResult) {
	for _, r := range results {
		if r.Code == wire.None {
			fmt.Fprintf(&tr.out, "%s: ok id=%s", r.Name, r.ID)
			if r.Partitions > 0 {
				fmt.Fprintf(&tr.out, " partitions=%d factor=%d", r.Partitions, r.ReplicationFactor)
			}
			fmt.Fprintln(&tr.out)
		} else {
			fmt.Fprintln(&tr.out, strings.TrimSpace(fmt.Sprintf("%s: %s %s", r.Name, r.Code.String(), r.Message)))
		}
	}
}

func (tr *tracer) apply(rs []Record, err error) {
	if err != nil {
		fmt.Fprintf(&tr.out, "refused: %v\n", err)
		return
	}
	for i, r := range rs {
		fmt.Fprintf(&tr.out, "%d %s\n", tr.image.Index()+1+int64(i), Describe(r))
	}
	if len(rs) == 0 {
		return
	}
	before := tr.image.String()
	im, err := tr.image.Apply(rs, tr.image.Index()+1)
	if tr.image.String() != before {
		tr.t.Errorf("Apply changed the image it was given")
	}
	if err != nil {
		fmt.Fprintf(&tr.out, "error: %v\n", err)
		return
	}
	tr.image = im
}

func (tr *tracer) line(words []string, rules *Rules) {
	fields := fieldsOf(words)
	id := func() int32 { return int32(tr.number(words[1])) }
	switch words[0] {
	case "register":
		rs, err := RegisterBroker(tr.image, Broker{ID: id(), Rack: fields["rack"], Fenced: slices.Contains(words, "fenced"),
			Endpoints: []Endpoint{{Name: "PLAINTEXT", Host: "b" + words[1], Port: 9092}}})
		tr.apply(rs, err)
	case "fence", "unfence":
		epoch := int64(-1)
		if b := tr.image.Broker(id()); b != nil {
			epoch = b.Epoch
		}
		tr.apply([]Record{BrokerFenceRecord{id(), epoch, words[0] == "fence"}}, nil)
	case "tail":
		tr.apply(LoseTail(tr.image, id()), nil)
	case "change":
		r := PartitionChangeRecord{Leader: LeaderUnchanged, Number: int32(tr.number(words[2]))}
		if topic := tr.image.TopicByName(words[1]); topic != nil {
			r.TopicID = topic.ID
		}
		if v, ok := fields["leader"]; ok {
			r.Leader = int32(tr.number(v))
		}
		for name, to := range map[string]*[]int32{"isr": &r.ISR, "replicas": &r.Replicas, "elr": &r.ELR, "last": &r.LastKnownELR} {
			if v, ok := fields[name]; ok {
				*to = tr.numbers(v)
			}
		}
		tr.apply([]Record{r}, nil)
	case "configure":
		resource := resourceOf(words[1])
		var rs []Record
		for _, w := range words[2:] {
			k, v, _ := strings.Cut(w, ":")
			rs = append(rs, ConfigRecord{Resource: resource, Name: k, Value: v, Remove: v == ""})
		}
		tr.apply(rs, nil)
	case "grant":
		var epoch int64
		if b := tr.image.Broker(id()); b != nil {
			epoch = b.Epoch
		}
		if v, ok := fields["epoch"]; ok {
			epoch = tr.number(v)
		}
		rs, first, err := GrantProducerIDs(tr.image, id(), epoch)
		if err == nil {
			fmt.Fprintf(&tr.out, "first %d\n", first)
		}
		tr.apply(rs, err)
	case "image":
		tr.out.WriteString(tr.image.String())
	case "reload":
		b := tr.image.AppendSnapshot(nil)
		im, err := DecodeSnapshot(b)
		if err != nil {
			tr.t.Fatal(err)
		}
		same := im.String() == tr.image.String() && im.Hash() == tr.image.Hash()
		fmt.Fprintf(&tr.out, "%d bytes, same image %t\n", len(b), same)
		tr.image = im
	default:
		if !tr.clusterLine(words, fields, rules) {
			tr.t.Fatalf("no command %q", words[0])
		}
	}
}

func (tr *tracer) newTopic(words []string) NewTopic {
	n := NewTopic{Partitions: -1, ReplicationFactor: -1}
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		switch {
		case !ok:
			n.Name = w
		case k == "partitions":
			n.Partitions = int32(tr.number(v))
		case k == "factor":
			n.ReplicationFactor = int16(tr.number(v))
		case k == "assign":
			for a := range strings.SplitSeq(v, "/") {
				p, ids, _ := strings.Cut(a, ":")
				n.Assignments = append(n.Assignments, Assignment{int32(tr.number(p)), tr.numbers(ids)})
			}
		case k == "set":
			for s := range strings.SplitSeq(v, ",") {
				name, value, ok := strings.Cut(s, ":")
				n.Configs = append(n.Configs, ConfigValue{name, value, !ok})
			}
		}
	}
	return n
}

func (tr *tracer) number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		tr.t.Fatal(err)
	}
	return n
}

func (tr *tracer) numbers(s string) []int32 {
	ids := []int32{}
	for w := range strings.SplitSeq(s, ",") {
		if w != "" {
			ids = append(ids, int32(tr.number(w)))
		}
	}
	return ids
}
