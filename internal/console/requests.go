package console

import (
	"github.com/millrace/millrace/broker"
)

// requests puts what has come of requests, by API.
func (s *scrape) requests(out *sink, apis []broker.APIStats, from, now *moment) {
	const (
		total   = "Requests answered, by the first error code of the answer (Produce and Fetch; of others NONE), or CLOSED for those answered by closing the connection."
		seconds = "Time from the wake-up that brought a request until its answer has left."
		counted = "Requests answered."
	)
	for i := range apis {
		a := &apis[i]
		name := a.Name
		if name == "" {
			name = "UNKNOWN"
		}
		none := a.Took.Count()
		out.counter("millrace_requests_total", total, float64(a.Closed), "api", name, "error", "CLOSED")
		if a.Name == "" {
			continue
		}
		for code, n := range a.Errors {
			out.counter("millrace_requests_total", total, float64(n), "api", name, "error", code)
			none -= n
		}
		s.none[name] = max(s.none[name], none) // an error is counted a moment before its answer leaves: a counter must not go down
		out.counter("millrace_requests_total", total, float64(s.none[name]), "api", name, "error", "NONE")
		out.histogram("millrace_request_seconds", seconds, &a.Took, "api", name, "phase", "total")

		mbean(out, name, a, from, now)
		if name == "Fetch" {
			mbean(out, "FetchConsumer", a, from, now) // no follower fetches yet
		}
		out.counter("kafka_network_requestmetrics_requests_total", counted, float64(a.Took.Count()), "request", name)
	}
}

// mbean puts the quantiles of Kafka's TotalTimeMs, over the window.
func mbean(out *sink, request string, a *broker.APIStats, from, now *moment) {
	const help = "Time from the wake-up that brought a request until its answer has left, in milliseconds, over the last minutes."
	recent := from.recent(now, a.Name)
	some := recent.Count() > 0
	for _, q := range []struct {
		share float64
		label string
	}{{0.5, "0.50"}, {0.75, "0.75"}, {0.95, "0.95"}, {0.98, "0.98"}, {0.99, "0.99"}, {0.999, "0.999"}} {
		out.gauge("kafka_network_requestmetrics_totaltimems", help, milliseconds(recent.Quantile(q.share), some), "request", request, "quantile", q.label)
	}
	out.counter("kafka_network_requestmetrics_totaltimems_count", "Requests answered.", float64(a.Took.Count()), "request", request)
}
