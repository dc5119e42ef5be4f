package console

import (
	"bytes"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics answers scrapes. Nothing of it exists before the first one.
//
// An answer is gathered whole, one at a time, before any of it leaves: who reads slowly holds his own answer and nobody up. Its size is bounded by
// Options.Series.
type metrics struct {
	server *Server

	mu       sync.Mutex // one scrape at a time
	byTopic  http.Handler
	detailed http.Handler
	scrape   scrape
}

func (m *metrics) serve(w http.ResponseWriter, r *http.Request)       { m.answer(w, r, false) }
func (m *metrics) serveDetail(w http.ResponseWriter, r *http.Request) { m.answer(w, r, true) }

func (m *metrics) answer(w http.ResponseWriter, r *http.Request, detail bool) {
	v := m.server.view.Load()
	if v == nil {
		say(w, http.StatusServiceUnavailable, m.server.unready())
		return
	}
	whole := held{header: http.Header{}}
	m.mu.Lock()
	if m.byTopic == nil {
		m.scrape.begin(m.server.options)
		m.byTopic, m.detailed = m.handler(false), m.handler(true)
	}
	m.scrape.view = *v
	if detail {
		m.detailed.ServeHTTP(&whole, r)
	} else {
		m.byTopic.ServeHTTP(&whole, r)
	}
	m.mu.Unlock()
	allow(w, writeTime) // from now: it may have waited for its turn
	whole.sendTo(w)
}

func (m *metrics) handler(detail bool) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{scrape: &m.scrape, detail: detail})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // one series that is wrong must not hide the others
		ErrorLog:      gatherErrors{m.server.options.Log},
	})
}

// collector asks the scrape for its series when a registry gathers.
type collector struct {
	scrape *scrape
	detail bool
}

// Describe names nothing: which series there are depends on topics and groups.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

func (c *collector) Collect(to chan<- prometheus.Metric) { c.scrape.collect(to, c.detail) }

// held is an answer that has not left.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *held) sendTo(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	if h.status != 0 {
		w.WriteHeader(h.status)
	}
	_, _ = w.Write(h.body.Bytes()) // who does not read it misses it
}
