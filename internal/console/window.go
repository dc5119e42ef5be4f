package console

import (
	"time"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/internal/metric"
)

// Kafka's quantiles, means and shares are of the last minutes. Ours are of what has come since a moment that some scrape has kept: the last one that
// is at least windowIs old, else the oldest there is, at first the start of the process.
const (
	windowIs   = 5 * time.Minute
	windowStep = 15 * time.Second // between two moments that are kept
)

// moment is what was counted at one time.
type moment struct {
	at      time.Duration // since the start of the process
	busy    []time.Duration
	took    map[string]*metric.Counts // by API
	commits metric.Counts
	logEnd  int64
}

func momentOf(n *broker.NodeStats, apis []broker.APIStats) moment {
	m := moment{at: n.Uptime, busy: n.Busy, took: map[string]*metric.Counts{}, commits: n.Metadata.Commits, logEnd: n.Metadata.LogEnd}
	for i := range apis {
		m.took[apis[i].Name] = &apis[i].Took
	}
	return m
}

// window keeps moments, oldest first.
type window struct{ kept []moment }

// since returns the moment to count from, and keeps now when it is time for that.
func (w *window) since(now moment) moment {
	for len(w.kept) > 1 && now.at-w.kept[1].at >= windowIs {
		w.kept[0] = moment{} // for the collector
		w.kept = w.kept[1:]
	}
	var from moment
	if len(w.kept) > 0 {
		from = w.kept[0]
	} else {
		w.kept = append(w.kept, moment{logEnd: now.logEnd}) // the start; what the log held then was not appended since
		from = w.kept[0]
	}
	if now.at-w.kept[len(w.kept)-1].at >= windowStep {
		w.kept = append(w.kept, now)
	}
	return from
}

// recent is what has come of an API since the moment.
func (m *moment) recent(now *moment, api string) *metric.Counts {
	counts := now.took[api]
	if earlier := m.took[api]; earlier != nil {
		return counts.Since(earlier)
	}
	return counts
}

// idle is the share of the time since the moment that a loop had nothing to do.
func (m *moment) idle(now *moment, loop int) float64 {
	busy, took := now.busy[loop], now.at-m.at
	if m.busy != nil {
		busy -= m.busy[loop]
	}
	if took <= 0 {
		return 1
	}
	return min(max(1-float64(busy)/float64(took), 0), 1)
}
