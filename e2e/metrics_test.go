package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// scrape is a live answer: values by series as written there.
func (b *broker) scrape(path string) map[string]float64 {
	b.t.Helper()
	status, body := b.get(path)
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, status, body)
	}
	m := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			at := strings.LastIndexByte(line, ' ')
			v, err := strconv.ParseFloat(line[at+1:], 64)
			if err != nil {
				b.t.Fatalf("%q: %v", line, err)
			}
			m[line[:at]] = v
		}
	}
	return m
}

func (b *broker) get(path string) (status int, body string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(within(b.t, 30*time.Second), http.MethodGet, "http://"+b.admin+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// answers counts what a client has been answered, by API key.
type answers struct {
	mu  sync.Mutex
	key map[int16]float64
}

func (a *answers) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.ReadErr == nil && e.WriteErr == nil && e.BytesRead > 0 {
		a.key[key]++
	}
}

func (a *answers) of(key int16) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.key[key]
}

// What a live /metrics says is what real clients have done.
func TestMetricsTellWhatWasDone(t *testing.T) {
	b := start(t, t.TempDir(), 0, "offsets.topic.num.partitions=1", "num.partitions=3")
	seen := &answers{key: map[int16]float64{}}
	producer := b.client(kgo.DefaultProduceTopic("t"), kgo.WithHooks(seen), kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	const records = 3000
	bytes := 0
	for i := range records {
		r := kgo.StringRecord(fmt.Sprintf("value-%05d", i))
		r.Partition = int32(i % 3)
		bytes += len(r.Value)
		producer.Produce(within(t, time.Minute), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := producer.Flush(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	consumer := b.client(kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"), kgo.DisableAutoCommit(), kgo.WithHooks(seen),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for got := 0; got < records; {
		f := consumer.PollFetches(within(t, time.Minute))
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		got += f.NumRecords()
	}
	var committed error
	consumer.CommitOffsetsSync(within(t, time.Minute), map[string]map[int32]kgo.EpochOffset{"t": {0: {Epoch: -1, Offset: 100}, 1: {Epoch: -1, Offset: 100}, 2: {Epoch: -1, Offset: 100}}},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
			committed = err
		})
	if committed != nil {
		t.Fatal(committed)
	}

	m := b.scrape("/metrics")
	in := m[`millrace_topic_bytes_total{dir="in",topic="t"}`]
	for series, want := range map[string]float64{
		`millrace_topic_records_total{dir="in",topic="t"}`:                             records,
		`millrace_topic_bytes_total{dir="out",topic="t"}`:                              in, // read once, whole
		`kafka_server_brokertopicmetrics_messagesin_total{topic="t"}`:                  records,
		`kafka_server_brokertopicmetrics_bytesin_total{topic="t"}`:                     in,
		`kafka_server_brokertopicmetrics_bytesout_total{topic="t"}`:                    in,
		`kafka_server_brokertopicmetrics_failedproducerequests_total{topic="t"}`:       0,
		`kafka_log_log_size{partition="",topic="t"}`:                                   in,
		`kafka_topic_partitions{topic="t"}`:                                            3,
		`kafka_topic_partition_current_offset{partition="",topic="t"}`:                 records,
		`kafka_topic_partition_oldest_offset{partition="",topic="t"}`:                  0,
		`kafka_consumergroup_current_offset{consumergroup="g",partition="",topic="t"}`: 300,
		`kafka_consumergroup_lag{consumergroup="g",partition="",topic="t"}`:            records - 300,
		`kafka_consumergroup_lag_sum{consumergroup="g",topic="t"}`:                     records - 300,
		`kafka_consumergroup_members{consumergroup="g"}`:                               1,
		`millrace_requests_total{api="Produce",error="NONE"}`:                          seen.of(0),
		`millrace_request_seconds_count{api="Produce",phase="total"}`:                  seen.of(0),
		`kafka_network_requestmetrics_totaltimems_count{request="JoinGroup"}`:          seen.of(11),
		`kafka_brokers`:                                      1,
		`millrace_partitions{state="leader"}`:                4,
		`kafka_broker_info{address="` + b.addr + `",id="1"}`: 1,
	} {
		if got, ok := m[series]; !ok || got != want {
			t.Errorf("%s: %v, want %v", series, got, want)
		}
	}
	if in < float64(bytes) {
		t.Errorf("%v bytes in, the values alone are %d", in, bytes)
	}
	if got := m[`millrace_fsync_seconds_count`]; got < 1 {
		t.Errorf("%v flushes", got)
	}
	detail := b.scrape("/metrics/detail")
	var sum float64
	for p := range 3 {
		sum += detail[fmt.Sprintf(`kafka_topic_partition_current_offset{partition="%d",topic="t"}`, p)]
	}
	if sum != records {
		t.Errorf("the partitions have %v records", sum)
	}
	if status, body := b.get("/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, body)
	}
}

// dashboardNames are the names that Strimzi's dashboards (strimzi-kafka, strimzi-kraft, strimzi-kafka-exporter) and alerts use of Kafka and of
// kafka_exporter, and that have a meaning here. Not among them: those of a JVM and of its container, kafka_server_raftchannelmetrics_* and
// kafka_server_raftmetrics_current_vote, which tell of voters that talk to each other.
var dashboardNames = strings.Fields(`
kafka_broker_info kafka_topic_partitions kafka_topic_partition_current_offset kafka_topic_partition_oldest_offset kafka_topic_partition_replicas
kafka_topic_partition_in_sync_replica kafka_topic_partition_under_replicated_partition kafka_topic_partition_leader_is_preferred
kafka_consumergroup_lag kafka_consumergroup_current_offset kafka_cluster_partition_underminisr kafka_cluster_partition_atminisr
kafka_cluster_partition_replicascount kafka_log_log_size kafka_log_logmanager_offlinelogdirectorycount
kafka_server_replicamanager_leadercount kafka_server_replicamanager_partitioncount kafka_server_replicamanager_underreplicatedpartitions
kafka_server_replicamanager_underminisrpartitioncount kafka_controller_kafkacontroller_activecontrollercount
kafka_controller_kafkacontroller_offlinepartitionscount kafka_controller_controllerstats_uncleanleaderelections_total
kafka_server_brokertopicmetrics_bytesin_total kafka_server_brokertopicmetrics_bytesout_total kafka_server_brokertopicmetrics_messagesin_total
kafka_server_brokertopicmetrics_totalproducerequests_total kafka_server_brokertopicmetrics_totalfetchrequests_total
kafka_server_brokertopicmetrics_failedproducerequests_total kafka_server_brokertopicmetrics_failedfetchrequests_total
kafka_server_socket_server_metrics_connection_count kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent
kafka_network_socketserver_networkprocessoravgidle_percent kafka_server_kafkaserver_linux_disk_read_bytes
kafka_server_kafkaserver_linux_disk_write_bytes kafka_server_raftmetrics_current_state kafka_server_raftmetrics_current_leader
kafka_server_raftmetrics_current_epoch kafka_server_raftmetrics_high_watermark kafka_server_raftmetrics_log_end_offset
kafka_server_raftmetrics_commit_latency_avg kafka_server_raftmetrics_append_records_rate kafka_server_raftmetrics_fetch_records_rate
process_open_fds process_cpu_seconds_total
kafka_brokers kafka_topic_partition_leader kafka_consumergroup_lag_sum kafka_consumergroup_current_offset_sum kafka_consumergroup_members
kafka_server_replicamanager_isrshrinks_total kafka_server_replicamanager_isrexpands_total kafka_network_requestmetrics_totaltimems
`)

func TestNamesThatDashboardsUse(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	if err := b.client(kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation()).ProduceSync(within(t, time.Minute), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "t", At: 0, LeaderEpoch: -1})
	if _, err := kadm.NewClient(b.client()).CommitOffsets(within(t, time.Minute), "g", offsets); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/metrics", "/metrics/detail"} {
		_, body := b.get(path)
		for _, name := range dashboardNames {
			if name == "kafka_topic_partition_leader" && path == "/metrics" {
				continue // brokers' ids do not add up
			}
			if !strings.Contains(body, "\n"+name+"{") && !strings.Contains(body, "\n"+name+" ") {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
}

// Whoever talks nonsense to the admin listener, or nothing at all, or does not read: the broker serves, and so does the listener.
func TestStrangersOnTheAdminListener(t *testing.T) {
	b := start(t, t.TempDir(), 0)
	if _, err := kadm.NewClient(b.client()).CreateTopic(within(t, time.Minute), 500, 1, nil, "many"); err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range 200 {
		c, err := net.Dial("tcp", b.admin)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		switch i % 4 {
		case 0: // says nothing
		case 1:
			_, _ = c.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 garbage \x00\xff\r\n\r\n")) // it may be closed already, here and below
		case 2:
			_, _ = c.Write([]byte("GET /metrics/detail HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics/detail HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		case 3:
			_, _ = c.Write([]byte("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "))
		}
	}
	cl := b.client(kgo.DefaultProduceTopic("many"))
	for range 100 {
		if err := cl.ProduceSync(within(t, time.Minute), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range open {
		c.Close()
	}
	ok := poll(30*time.Second, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.admin+"/readyz", nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false // its places are taken
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	if !ok {
		t.Fatal("the admin listener does not come back")
	}
	if got := b.scrape("/metrics")[`millrace_topic_records_total{dir="in",topic="many"}`]; got != 100 {
		t.Errorf("%v records", got)
	}
	b.stop()
}
