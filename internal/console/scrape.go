package console

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/broker"
)

// scrape makes the series of one answer. One at a time.
type scrape struct {
	view   broker.View
	log    *slog.Logger
	series int // Options.Series
	descs  map[string]*prometheus.Desc
	window window
	warned map[string]extent // what was left out last time
	none   map[string]int64  // requests without an error, by API
	sum    steady            // of all topics
}

func (s *scrape) begin(o Options) {
	s.log, s.series = o.Log, o.Series
	s.descs, s.warned, s.none = map[string]*prometheus.Desc{}, map[string]extent{}, map[string]int64{}
}

// collect puts all families. A name is either of partitions or of their sums by topic, never both: a sum over it must be right.
func (s *scrape) collect(to chan<- prometheus.Metric, detail bool) {
	out := &sink{to: to, descs: s.descs}
	node, apis := s.view.Node(), s.view.APIs()
	now := momentOf(&node, apis)
	from := s.window.since(now)
	all := s.topics(out, &node, detail)
	native(out, &node, &all)
	network(out, &node, &from, &now)
	s.requests(out, apis, &from, &now)
	mbeans(out, &node, &all, &from, &now)
	cluster(out, &node)
	s.groups(out, detail)
}

// extent is how much of something is shown.
type extent int

const (
	byPartition extent = iota
	byTopic
	together // only what all of them are together
)

// topics puts what there is of topics, as far as the limit allows, and returns their sum.
func (s *scrape) topics(out *sink, node *broker.NodeStats, detail bool) totals {
	show := byTopic
	if detail {
		show = byPartition
	}
	if show == byPartition && node.Partitions*seriesOfPartition+node.Topics*seriesOfTopic > s.series {
		show = byTopic
	}
	if node.Topics*(seriesOfTopic+seriesOfPartition) > s.series {
		show = together
	}
	var all totals
	beside := s.view.Beside() // first: a topic that is deleted meanwhile is missed, but not counted twice
	s.view.Topics(show == byPartition, func(t *broker.TopicStats) {
		all.topics++
		all.led += t.Led
		all.sum.Add(&t.Sum)
		if show == together {
			return
		}
		topic(out, t)
		if show == byTopic {
			sum := t.Sum
			partition(out, t.Name, "", &sum)
			return
		}
		for i := range t.Partitions {
			partition(out, t.Name, number(t.Partitions[i].Index), &t.Partitions[i])
		}
	})
	all.sum.Counts.Add(&beside)
	s.sum.hold(&all.sum.Counts)
	compatible(out, "", &all.sum.Counts)
	if show == together {
		traffic(out, "", &all.sum.Counts)
	}
	s.leftOut(out, "topics", detail, show, "topics", node.Topics, "partitions", node.Partitions)
	return all
}

// groups puts what there is of groups, as far as the limit allows.
func (s *scrape) groups(out *sink, detail bool) {
	show := byTopic
	if detail {
		show = byPartition
	}
	var groups []broker.GroupStats
	var leftOut int
	for ; show < together; show++ {
		per := seriesOfGroupTopic
		if show == byPartition {
			per = seriesOfGroupPartition
		}
		var fits bool
		if groups, leftOut, fits = s.view.Groups(show == byPartition, s.series/per); fits {
			break
		}
		groups = nil
	}
	for i := range groups {
		consumers(out, &groups[i], show == byPartition)
	}
	out.gauge("millrace_groups_left_out", "Groups that are not shown because of the length of their names or the number of their offsets.", float64(leftOut))
	s.leftOut(out, "groups", detail, show, "groups", len(groups))
}

// leftOut says that an answer has less than was asked for: in the answer, and in the log when that is new.
func (s *scrape) leftOut(out *sink, of string, detail bool, show extent, args ...any) {
	asked, path := byTopic, "/metrics"
	if detail {
		asked, path = byPartition, "/metrics/detail"
	}
	out.gauge("millrace_metrics_reduced", "By how many steps millrace.metrics.cardinality.limit has reduced this answer: from partitions to topics, from topics to all together.",
		float64(show-asked), "of", of)
	if was := s.warned[of+path]; show-asked > was {
		by := map[extent]string{byTopic: "topic", together: "nothing"}[show]
		s.log.Warn("an answer has fewer series than asked for: there would be more than millrace.metrics.cardinality.limit",
			append([]any{"path", path, "of", of, "limit", s.series, "shown by", by}, args...)...)
	}
	s.warned[of+path] = show - asked
}
