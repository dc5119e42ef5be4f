package console

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/internal/metric"
)

// Names of our own follow Prometheus' rules. The others are what they are.
func TestNativeNamesAreClean(t *testing.T) {
	s := show(t, Options{})
	s.create("t", 2)
	s.produce("t", 10)
	_, body := get(t, s.server, "/metrics/detail")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "millrace_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if strings.Count(body, "# HELP millrace_") < 30 {
		t.Errorf("only %d families of our own", strings.Count(body, "# HELP millrace_"))
	}
}

// A sum over a name is right on both paths, whatever the path shows.
func TestDetailAddsUpToTopics(t *testing.T) {
	s := show(t, Options{})
	s.create("a", 3)
	s.create("b", 1)
	s.produce("a", 300)
	s.produce("b", 7)
	commit(s, "g", "a", 0, 5)
	sum := func(m map[string]float64, name string) (v float64, n int) {
		for series, x := range m {
			if strings.HasPrefix(series, name+"{") {
				v += x
				n++
			}
		}
		return v, n
	}
	byTopic, detail := s.scrape("/metrics"), s.scrape("/metrics/detail")
	for _, name := range []string{"kafka_topic_partition_current_offset", "kafka_topic_partition_replicas", "kafka_topic_partition_in_sync_replica",
		"kafka_log_log_size", "kafka_cluster_partition_replicascount", "kafka_topic_partitions", "kafka_consumergroup_lag", "kafka_consumergroup_current_offset"} {
		few, n := sum(byTopic, name)
		many, m := sum(detail, name)
		if few != many || n == 0 || m < n {
			t.Errorf("%s: %v in %d series by topic, %v in %d by partition", name, few, n, many, m)
		}
	}
	for series, want := range map[string]float64{
		`kafka_topic_partition_current_offset{partition="",topic="a"}`:                 300,
		`kafka_topic_partition_current_offset{partition="",topic="b"}`:                 7,
		`kafka_topic_partition_leader_is_preferred{partition="",topic="a"}`:            1,
		`kafka_topic_partitions{topic="a"}`:                                            3,
		`kafka_server_brokertopicmetrics_messagesin_total{topic="a"}`:                  300,
		`kafka_server_brokertopicmetrics_messagesin_total{topic=""}`:                   308, // and the commit
		`millrace_topic_records_total{dir="in",topic="a"}`:                             300,
		`kafka_consumergroup_current_offset{consumergroup="g",partition="",topic="a"}`: 5,
	} {
		if got, ok := byTopic[series]; !ok || got != want {
			t.Errorf("%s: %v, want %v", series, got, want)
		}
	}
	if got := detail[`kafka_topic_partition_leader{partition="2",topic="a"}`]; got != 1 {
		t.Errorf("leader %v", got)
	}
	for _, m := range []map[string]float64{byTopic, detail} {
		if m[`millrace_metrics_reduced{of="topics"}`] != 0 || m[`millrace_metrics_reduced{of="groups"}`] != 0 {
			t.Error("reduced")
		}
	}
}

func commit(s *shown, group, topic string, partition int32, offset int64) {
	s.t.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1})
	if _, err := kadm.NewClient(s.client()).CommitOffsets(within(s.t), group, offsets); err != nil {
		s.t.Fatal(err)
	}
}

// Offsets are what clients say. What Prometheus cannot have is made so, and a lag is never negative: it would turn an autoscaler around.
func TestWhateverClientsCommit(t *testing.T) {
	s := show(t, Options{})
	s.create("t", 1)
	s.produce("t", 3)
	commit(s, "beyond", "t", 0, 1<<40)
	commit(s, "odd\"\n", "t", 0, 1)
	commit(s, strings.Repeat("g", 300), "t", 0, 1)
	m := s.scrape("/metrics")
	for series, want := range map[string]float64{
		`kafka_consumergroup_lag{consumergroup="beyond",partition="",topic="t"}`:  0,
		`kafka_consumergroup_lag_sum{consumergroup="beyond",topic="t"}`:           0,
		`kafka_consumergroup_lag{consumergroup="odd\"\n",partition="",topic="t"}`: 2,
		`kafka_consumergroup_members{consumergroup="beyond"}`:                     0,
		`millrace_groups_left_out`:                                                1,
	} {
		if got, ok := m[series]; !ok || got != want {
			t.Errorf("%s: %v %v, want %v", series, got, ok, want)
		}
	}
}

// However many topics, partitions and groups: an answer has so many series of them, and says that it has less than was asked for.
func TestCardinalityIsBounded(t *testing.T) {
	const limit = 400
	s := show(t, Options{Series: limit})
	s.create("wide", 40)
	of := regexp.MustCompile(`[{,](topic|partition)="`)
	ofGroups := regexp.MustCompile(`[{,]consumergroup="`)
	check := func(path string, topics, groups float64) {
		t.Helper()
		m := s.scrape(path)
		var n, g int
		for series := range m {
			switch {
			case ofGroups.MatchString(series):
				g++
			case of.MatchString(series):
				n++
			}
		}
		if n > limit+10 || g > limit { // topic="" is there in any case
			t.Errorf("%s: %d series of topics, %d of groups", path, n, g)
		}
		if got := m[`millrace_metrics_reduced{of="topics"}`]; got != topics {
			t.Errorf("%s: topics reduced by %v, want %v", path, got, topics)
		}
		if got := m[`millrace_metrics_reduced{of="groups"}`]; got != groups {
			t.Errorf("%s: groups reduced by %v, want %v", path, got, groups)
		}
		if _, ok := m[`kafka_server_brokertopicmetrics_bytesin_total{topic=""}`]; !ok {
			t.Errorf("%s: no sum of all", path)
		}
	}
	check("/metrics", 0, 0)
	check("/metrics/detail", 1, 0)
	if n := s.log.count("level=WARN"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	check("/metrics/detail", 1, 0)
	if n := s.log.count("level=WARN"); n != 1 {
		t.Errorf("%d warnings of one thing", n)
	}
	for i := range 20 {
		s.create(fmt.Sprint("narrow-", i), 1)
	}
	for p := range int32(40) {
		commit(s, "g", "wide", p, 1)
		commit(s, "h", "wide", p, 1)
		commit(s, "i", "wide", p, 1)
		commit(s, "j", "wide", p, 1)
	}
	check("/metrics", 1, 0)
	check("/metrics/detail", 2, 1)
	for i := range 90 {
		commit(s, fmt.Sprint("g", i), "wide", 0, 1)
	}
	check("/metrics", 1, 1)
	check("/metrics/detail", 2, 2)
}

// Scrapes and traffic at once, for the race detector; and nothing a scrape shows goes down.
func TestScrapeUnderLoad(t *testing.T) {
	s := show(t, Options{})
	s.create("t", 2)
	stop := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			s.produce("t", 20)
			commit(s, fmt.Sprint("g", i%5), "t", 0, int64(i))
		}
	})
	counter, last := regexp.MustCompile(`(_total|_count|_bucket)(\{|$)`), map[string]float64{}
	for i := range 20 {
		path := "/metrics"
		if i%2 == 1 {
			path = "/metrics/detail"
		}
		for series, v := range s.scrape(path) {
			if !counter.MatchString(series) {
				continue
			}
			if v < last[series] {
				t.Errorf("%s: %v after %v", series, v, last[series])
			}
			last[series] = v
		}
	}
	close(stop)
	load.Wait()
}

func TestWindowIsOfTheLastMinutes(t *testing.T) {
	var w window
	var took metric.Histogram
	at := func(minutes float64, busy time.Duration) (now, from moment) {
		var n broker.NodeStats
		n.Uptime, n.Busy = time.Duration(minutes*float64(time.Minute)), []time.Duration{busy}
		var c metric.Counts
		took.AddTo(&c)
		now = momentOf(&n, []broker.APIStats{{Name: "Fetch", Took: c}})
		return now, w.since(now)
	}
	took.Observe(int64(time.Millisecond))
	now, from := at(1, 15*time.Second)
	if got := from.recent(&now, "Fetch").Count(); got != 1 || from.idle(&now, 0) != 0.75 {
		t.Errorf("since the start: %d requests, idle %v", got, from.idle(&now, 0))
	}
	took.Observe(int64(time.Second))
	for _, minute := range []float64{2, 4} {
		now, from = at(minute, 15*time.Second)
	}
	now, from = at(6.5, 15*time.Second)
	recent := from.recent(&now, "Fetch")
	if got := recent.Count(); got != 1 || math.Abs(float64(recent.Quantile(0.5))/1e9-1) > 0.13 || from.idle(&now, 0) != 1 {
		t.Errorf("since minute 1: %d requests of %v, idle %v", got, time.Duration(recent.Quantile(0.5)), from.idle(&now, 0))
	}
	now, from = at(60, 15*time.Second)
	if got := from.recent(&now, "Fetch").Count(); got != 0 || from.at != time.Duration(6.5*float64(time.Minute)) {
		t.Errorf("after a long silence: %d requests since %v", got, from.at)
	}
	for i := range 10_000 {
		at(60+float64(i)/6000, 0)
	}
	if len(w.kept) > 25 {
		t.Errorf("%d moments are kept", len(w.kept))
	}
}
