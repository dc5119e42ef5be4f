package console

import (
	"math"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/metric"
)

// sink is where a scrape puts its series. A name has the same help and the same labels each time.
type sink struct {
	to    chan<- prometheus.Metric
	descs map[string]*prometheus.Desc // by name, kept from scrape to scrape
}

// gauge and counter put one series. labels are names and values in turn.
func (s *sink) gauge(name, help string, value float64, labels ...string) {
	s.put(prometheus.GaugeValue, name, help, value, labels)
}

func (s *sink) counter(name, help string, value float64, labels ...string) {
	s.put(prometheus.CounterValue, name, help, value, labels)
}

func (s *sink) put(kind prometheus.ValueType, name, help string, value float64, labels []string) {
	desc, values := s.desc(name, help, labels)
	m, err := prometheus.NewConstMetric(desc, kind, value, values...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	s.to <- m
}

// histogram puts durations, in seconds.
func (s *sink) histogram(name, help string, c *metric.Counts, labels ...string) {
	desc, values := s.desc(name, help, labels)
	buckets := map[float64]uint64{}
	c.Octaves(func(bound, below int64) { buckets[float64(bound)/1e9] = uint64(below) })
	m, err := prometheus.NewConstHistogram(desc, uint64(c.Count()), float64(c.Sum)/1e9, buckets, values...)
	if err != nil {
		m = prometheus.NewInvalidMetric(desc, err)
	}
	s.to <- m
}

// desc splits labels into the description, which has their names, and their values.
func (s *sink) desc(name, help string, labels []string) (*prometheus.Desc, []string) {
	values := make([]string, 0, len(labels)/2)
	for i := 1; i < len(labels); i += 2 {
		values = append(values, labels[i])
	}
	desc := s.descs[name]
	if desc == nil {
		names := make([]string, 0, len(values))
		for i := 0; i < len(labels); i += 2 {
			names = append(names, labels[i])
		}
		desc = prometheus.NewDesc(name, help, names, nil)
		s.descs[name] = desc
	}
	return desc, values
}

func number[N int | int32](n N) string { return strconv.Itoa(int(n)) }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// milliseconds is a duration in nanoseconds as Kafka shows it; NaN of none.
func milliseconds(ns int64, some bool) float64 {
	if !some {
		return math.NaN()
	}
	return float64(ns) / 1e6
}
