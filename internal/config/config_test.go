package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// kafkaDiffers are the defaults where the table, on purpose, is not Kafka's.
var kafkaDiffers = map[string]string{
	"node.id":                   "Kafka demands one; here a node without one is number 1",
	"process.roles":             "Kafka demands them; every node has both here",
	"controller.listener.names": "Kafka demands them; CONTROLLER is what every example calls it",
	"log.dirs":                  "the list cannot tell that the default is null, because the file sets it",
	"advertised.listeners":      "the list cannot tell that the default is null, because the file sets it",
}

func TestTheTableIsKafkas(t *testing.T) {
	for _, table := range []struct {
		file     string
		settings []Setting
	}{{"kafka-4.4.0-broker.tsv", Broker}, {"kafka-4.4.0-topic.tsv", Topic}} {
		text, err := os.ReadFile(filepath.Join("testdata", table.file))
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "#") {
				name, _, _ := strings.Cut(line, "\t")
				if kafkaDiffers[name] == "" {
					want = append(want, strings.TrimSuffix(line, "\n"))
				}
			}
		}
		for _, s := range table.settings {
			if strings.HasPrefix(s.Name, "millrace.") || kafkaDiffers[s.Name] != "" {
				continue
			}
			def, update, sensitive := s.Default, "dynamic", "-"
			if s.Null {
				def = "<null>"
			}
			if s.Update == ReadOnly {
				update = "read-only"
			}
			if s.Sensitive {
				sensitive = "sensitive"
			}
			name := [...]string{1: "boolean", "string", "int", "short", "long", "double", "list", "class", "password"}[s.Type]
			got = append(got, strings.Join([]string{s.Name, name, def, update, sensitive}, "\t"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (- Kafka, + ours):\n%s", table.file, diff)
		}
	}
}

func TestEverySettingIsSound(t *testing.T) {
	for _, table := range [][]Setting{Broker, Topic} {
		if !slices.IsSortedFunc(table, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatal("a table is not sorted: lookup would miss names")
		}
		for _, s := range table {
			if !s.Null {
				if err := s.check(s.Default); err != nil {
					t.Errorf("%s: its default: %v", s.Name, err)
				}
			}
			if !strings.HasSuffix(s.Doc, ".") || len(s.Doc) < 10 {
				t.Errorf("%s: the documentation is no sentence: %q", s.Name, s.Doc)
			}
			if (s.Support == Refused) != (s.Why != "") {
				t.Errorf("%s: refused and why go together", s.Name)
			}
			if s.Type == Password && !s.Sensitive {
				t.Errorf("%s: a password that is shown", s.Name)
			}
			for _, synonym := range s.Synonyms {
				b := lookup(Broker, synonym.Name)
				if b == nil || b.Topic != s.Name {
					t.Errorf("%s: %s does not point back at it", s.Name, synonym.Name)
				}
			}
			if s.Topic != "" {
				topic := lookup(Topic, s.Topic)
				if topic == nil || !slices.ContainsFunc(topic.Synonyms, func(y Synonym) bool { return y.Name == s.Name }) {
					t.Errorf("%s: %s does not name it", s.Name, s.Topic)
				}
			}
		}
	}
	for i, r := range removed {
		if lookup(Broker, r.prefix) != nil || r.why == "" {
			t.Errorf("removed[%d] %s: it is in the table, or has no reason", i, r.prefix)
		}
	}
}

// load writes lines to a file and loads it.
func load(t *testing.T, lines string, overrides ...string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(file, overrides)
}

const loopback = "listeners=PLAINTEXT://127.0.0.1:9092\n"

func TestWithoutAFileItJustWorksOnLoopback(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Int("node.id"), c.Listeners(), c.AdvertisedListeners(), c.DataDir(), c.Bool("auto.create.topics.enable"),
		c.Int("group.initial.rebalance.delay.ms"), c.String("millrace.durability"), c.Warnings(), c.Ineffective(), c.Source("listeners")}
	want := []any{1, []Listener{{"PLAINTEXT", "127.0.0.1", 9092, "PLAINTEXT"}}, []Listener(nil), "millrace-data", true,
		0, "fsync", []string(nil), []string(nil), Default}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWithAFileTheDefaultsAreKafkas(t *testing.T) {
	c, err := load(t, loopback)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Int("group.initial.rebalance.delay.ms"); got != 3000 {
		t.Errorf("rebalance delay %d, want Kafka's 3000", got)
	}
	if got := c.DataDir(); got != "/tmp/kafka-logs" {
		t.Errorf("data directory %q, want Kafka's", got)
	}
}

func TestTheStrongerSourceWins(t *testing.T) {
	c, err := load(t, loopback+"num.partitions=3\nlog.retention.hours=2\nlog.dirs=/file\n", "num.partitions=7")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Int("num.partitions"); got != 7 || c.Source("num.partitions") != StaticBroker {
		t.Errorf("num.partitions = %d from %d; want 7 of -o", got, c.Source("num.partitions"))
	}
	if got := c.DataDir(); got != "/file" {
		t.Errorf("data directory %q, want the file's", got)
	}
	c.SetDataDir("/a,b")
	if got := c.DataDir(); got != "/a,b" {
		t.Errorf("data directory %q after SetDataDir", got)
	}
	if err := c.Set("num.partitions", "0"); err == nil || c.Int("num.partitions") != 7 {
		t.Errorf("Set(0): %v, now %d; want an error and 7", err, c.Int("num.partitions"))
	}
	if err := c.Set("num.partitions", "9"); err != nil || c.Int("num.partitions") != 9 {
		t.Errorf("Set(9): %v, now %d", err, c.Int("num.partitions"))
	}
}

func TestDurationsFollowTheUnitInTheName(t *testing.T) {
	c, err := load(t, loopback+"log.retention.hours=-1\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]time.Duration{
		"offsets.retention.minutes":               7 * 24 * time.Hour,
		"connections.max.idle.ms":                 10 * time.Minute,
		"leader.imbalance.check.interval.seconds": 5 * time.Minute,
		"kafka.metrics.polling.interval.secs":     10 * time.Second,
		"log.roll.hours":                          168 * time.Hour,
		"log.retention.hours":                     -1,
		"log.flush.scheduler.interval.ms":         1<<63 - 1,
	} {
		if got := c.Duration(name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestMillisecondsBeatMinutesBeatHours(t *testing.T) {
	for _, test := range []struct {
		file string
		want int64
	}{
		{"", 7 * 24 * 3600 * 1000},
		{"log.retention.hours=2", 2 * 3600 * 1000},
		{"log.retention.hours=2\nlog.retention.minutes=3", 3 * 60 * 1000},
		{"log.retention.hours=2\nlog.retention.minutes=3\nlog.retention.ms=4", 4},
		{"log.retention.hours=-1", -1},
	} {
		c, err := load(t, loopback+test.file)
		if err != nil {
			t.Fatal(err)
		}
		topic, err := c.TopicConfig(nil)
		if err != nil || topic.RetentionMs != test.want {
			t.Errorf("%q: retention.ms %d (%v), want %d", test.file, topic.RetentionMs, err, test.want)
		}
	}
}

func TestEveryMistakeIsReportedAtOnceWithItsLine(t *testing.T) {
	_, err := load(t, `# a comment
num.partitons=3
listeners=PLAINTEXT://0.0.0.0:9092,\
  SECURE://127.0.0.1:9093
log.segment.bytes=1k
min.insync.replicas=0
zookeeper.connect=localhost:2181
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
retention.ms=5
log.cleanup.policy=delete,drop
auto.create.topics.enable=yes
broker.id=1
node.id=2
process.roles=broker
millrace.durability=maybe
frobnicate=1
bad=\u00g0
log.retention.ms=0
`, "log.dirs", "compression.type=brotli")
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		if _, rest, ok := strings.Cut(line, "server.properties"); ok {
			line = rest
		}
		got = append(got, line)
	}
	want := []string{
		":17: \\u must be followed by four hexadecimal digits (got \"00g0\")\n",
		":2: num.partitons: unknown setting; did you mean num.partitions?\n",
		":5: log.segment.bytes: not a whole number (got \"1k\", allowed 1048576 ... 2147483647)\n",
		":6: min.insync.replicas: out of range (got 0, allowed 1 ... 2147483647)\n",
		":7: zookeeper.connect: not supported: there is no ZooKeeper; brokers manage themselves\n",
		":8: authorizer.class.name: not supported: Java classes cannot be loaded, and no authorizer is built in yet (got \"org.apache.kafka.metadata.authorizer.StandardAuthorizer\", allowed \"\")\n",
		":9: retention.ms: unknown setting: that is its name on a topic; did you mean log.retention.ms?\n",
		":10: log.cleanup.policy: not one of its values (got \"drop\", allowed any of compact, delete)\n",
		":11: auto.create.topics.enable: not a truth value (got \"yes\", allowed true or false)\n",
		":15: millrace.durability: not one of its values (got \"maybe\", allowed fsync, replicated, os)\n",
		":16: frobnicate: unknown setting\n",
		":18: log.retention.ms: out of range (got 0, allowed -1 ... 9223372036854775807 except 0)\n",
		"-o log.dirs: want key=value\n",
		"-o: compression.type: not one of its values (got \"brotli\", allowed uncompressed, zstd, lz4, snappy, gzip, producer)\n",
		":12: broker.id: differs from node.id (got 1 and 2)\n",
		":14: process.roles: every node is broker and controller in this version (got \"broker\", allowed broker,controller)\n",
		":3: listeners: SECURE://127.0.0.1:9093: listener.security.protocol.map does not say the protocol of SECURE\n",
		":3: listeners: PLAINTEXT://0.0.0.0:9092 can be reached from other machines without TLS and SASL; listen on 127.0.0.1, or say millrace.allow.insecure=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the topic of groups cannot be created or written with is refused at the start, not found out by the first group.
func TestSettingsOfTheOffsetsTopicAreChecked(t *testing.T) {
	for _, mistake := range []string{"offsets.topic.compression.codec=5", "offsets.topic.compression.codec=-1", "offsets.topic.segment.bytes=1048575", "offsets.topic.num.partitions=10001"} {
		if _, err := load(t, loopback, mistake); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%s: %v", mistake, err)
		}
	}
}

func TestUnknownSettingsCanBeWarnedOf(t *testing.T) {
	c, err := load(t, "confluent.balancer.enable=true\n"+loopback+"millrace.unknown.config=warn\n")
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], "confluent.balancer.enable: unknown setting") {
		t.Errorf("warnings %q", w)
	}
	if _, err := load(t, "zookeeper.connect=x\n"+loopback+"millrace.unknown.config=warn\n"); err == nil {
		t.Error("a setting that is refused was only warned of")
	}
}

// The file Kafka 4.4 ships for a combined node, but for its addresses.
func TestKafkasOwnFileLoads(t *testing.T) {
	c, err := load(t, `
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://localhost:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
offsets.topic.replication.factor=1
log.retention.hours=168
log.segment.bytes=1073741824
listener.name.plaintext.ssl.client.auth=none
log4j.rootLogger=INFO
`)
	if err != nil {
		t.Fatal(err)
	}
	plain := []Listener{{"PLAINTEXT", "localhost", 9092, "PLAINTEXT"}}
	if diff := cmp.Diff(plain, c.Listeners()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(plain, c.AdvertisedListeners()); diff != "" {
		t.Error(diff)
	}
	want := []string{"controller.quorum.bootstrap.servers", "inter.broker.listener.name", "listener.name.plaintext.ssl.client.auth", "log4j.rootLogger", "num.io.threads",
		"num.network.threads", "socket.send.buffer.bytes"}
	if diff := cmp.Diff(want, c.Ineffective()); diff != "" {
		t.Errorf("named as without effect:\n%s", diff)
	}
}

func TestListeners(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"", "PLAINTEXT://:9092 can be reached from other machines"}, // Kafka's default is every interface
		{"listeners=PLAINTEXT://:9092\nmillrace.allow.insecure=true", "PLAINTEXT://:9092"},
		{"listeners=plaintext://[::1]:9092", "PLAINTEXT://[::1]:9092"},
		{"listeners=PLAINTEXT://127.8.9.1:9092,A://localhost:0\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT", "PLAINTEXT://127.8.9.1:9092 A://localhost:0"},
		{"listeners=SSL://127.0.0.1:9092", "SSL is not in this version"},
		{"listeners=PLAINTEXT://10.0.0.1:9092", "say millrace.allow.insecure=true"},
		{"listeners=PLAINTEXT://127.0.0.1:9092,PLAINTEXT://127.0.0.1:9093", "used twice"},
		{"listeners=PLAINTEXT://127.0.0.1:9092,SSL://127.0.0.1:9092", "port 9092 is used twice"},
		{"listeners=CONTROLLER://127.0.0.1:9093", "no listener for clients"},
		{"listeners=PLAINTEXT://127.0.0.1", "no port"},
		{"listeners=127.0.0.1:9092", "no listener name"},
		{"listeners=PLAINTEXT://127.0.0.1:99999", "not a port"},
		{"listeners=PLAINTEXT://::1:9092", "brackets"},
		{"listeners=PLAINTEXT://[localhost]:9092", "not an address"},
		{loopback + "advertised.listeners=PLAINTEXT://0.0.0.0:9092", "clients cannot connect to that"},
		{loopback + "advertised.listeners=OTHER://host:9092", "does not say the protocol of OTHER"},
		{loopback + "advertised.listeners=SSL://host:9092", "SSL is not one of the listeners"},
		{loopback + "listener.security.protocol.map=PLAINTEXT:PLAIN", "want NAME:PROTOCOL"},
		{loopback + "controller.quorum.voters=1@a:1,2@b:2", "clusters of several nodes"},
		{loopback + "log.dirs=/a,/b", "one directory is used"},
		{loopback + "broker.id=-2", "out of range"},
	} {
		c, err := load(t, test.lines)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			for _, l := range c.Listeners() {
				got += " " + l.String()
			}
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%q: %s; want %s", test.lines, got, test.want)
		}
	}
}

func TestSetPort(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetPort(0); err != nil || c.Listeners()[0].Port != 0 {
		t.Errorf("%v %v", err, c.Listeners())
	}
	if err := c.Set("num.partitions", "2"); err != nil || c.Listeners()[0].Port != 0 || c.String("listeners") != "PLAINTEXT://127.0.0.1:0" {
		t.Errorf("the port does not outlive another change: %v %v", err, c.Listeners())
	}
	if err := c.SetPort(65536); err == nil {
		t.Error("no error for port 65536")
	}
	two, err := Load("", []string{"listeners=A://127.0.0.1:1,B://127.0.0.1:2", "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT"})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.SetPort(5); err == nil || !strings.Contains(err.Error(), "2 client listeners") {
		t.Errorf("one port for two listeners: %v", err)
	}
	if err := two.SetPort(0); err != nil || two.Listeners()[1].Port != 0 {
		t.Errorf("%v %v", err, two.Listeners())
	}
}

func TestBrokerIDIsNodeID(t *testing.T) {
	c, err := load(t, loopback+"broker.id=5\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Int("node.id"); got != 5 || c.Int("broker.id") != 5 {
		t.Errorf("node.id %d, broker.id %d", got, c.Int("broker.id"))
	}
}

func TestASettingSetTwiceIsWarnedOf(t *testing.T) {
	c, err := load(t, loopback+"num.partitions=2\nnum.partitions=4\n")
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Warnings(); c.Int("num.partitions") != 4 || len(w) != 1 || !strings.Contains(w[0], ":3: num.partitions is also set on line 2") {
		t.Errorf("%d, %q", c.Int("num.partitions"), w)
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none"), nil); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}
