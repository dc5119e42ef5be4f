package bench

import (
	"fmt"
	"math"
	"sync"

	"github.com/millrace/millrace/bench/host"
)

// fingerprints of the machine the generator runs on, by the directory of the broker's data: each takes a quarter of a second, once.
var fingerprints sync.Map

// fingerprint looks at the broker's file system when it runs here, else at ours.
func fingerprint(pids []int) host.Fingerprint {
	dir := host.DataDir(pids)
	f, known := fingerprints.Load(dir)
	if !known {
		f, _ = fingerprints.LoadOrStore(dir, host.Read(dir))
	}
	return f.(host.Fingerprint)
}

// result puts together what a run found. Everything has ended.
func (r *run) result(w *watch) *Result {
	c := r.collect
	res := &Result{
		Schema: ResultSchema, Version: r.setup.Version, Started: r.clock.zero.Add(r.span.begin), Command: r.setup.Command, Target: r.place.target, Spec: r.spec,
		Latency: map[string]*Distribution{}, Series: c.series, intervals: c.intervals,
	}
	res.Target.Pids = r.pids()
	for k, name := range kindNames {
		if c.total[k].histogram.TotalCount() > 0 {
			res.Latency[name] = NewDistribution(c.total[k])
		}
	}
	elapsed := r.span.to - r.span.from
	in := &c.window
	res.Load = Load{
		Acked: c.whole.acked, Failed: c.whole.failed, Consumed: c.whole.consumed, Unsent: r.unsent.Load(),
		Elapsed: elapsed, Records: in.acked, Bytes: in.bytes, Requests: in.requests,
		Fetched: in.consumed, FetchedBytes: in.fetchedSize, Fetches: in.fetches,
		Asked: r.spec.Rate, Achieved: float64(in.acked) / elapsed.Seconds(), MegabytesASecond: float64(in.bytes) / 1e6 / elapsed.Seconds(),
		PeakBacklog: c.peak,
	}
	if slip := res.Latency[LatencySlip]; r.spec.Rate > 0 && slip != nil {
		res.Load.Due = slip.Count
	}
	if r.spec.Rate > 0 {
		res.Load.Due += r.unsent.Load()
	}
	if c.whole.sent > 0 && r.spec.Codec != "none" {
		res.Load.Ratio = float64(c.whole.raw) / float64(c.whole.sent)
	}
	if r.spec.Backlog > 0 {
		res.Load.CaughtUpAfter = r.caughtUp()
	}
	if r.churn != nil {
		res.Load.Churned = r.churn.opened.Load()
		if n := r.churn.failed.Load(); n > 0 {
			r.errors.note("%d of the connections that were opened and closed failed, first: %v", n, *r.churn.first.Load())
		}
	}
	for _, b := range r.books {
		for i := range b.partitions {
			res.Load.Attempted += b.partitions[i].next
		}
	}
	res.Errors = r.errors.n.Load()
	res.Verdict = Verdict{Failed: res.Load.Failed, Examples: r.errors.mu.first}
	for _, group := range r.trackers {
		for _, t := range group {
			res.Verdict.Add(t.verdict(r.books))
		}
	}
	if l := &res.Load; l.Attempted != l.Acked+l.Failed {
		res.Verdict.example("attempted %d records, but %d acknowledged and %d failed: the generator lost count", l.Attempted, l.Acked, l.Failed)
		res.Verdict.Failed += max(l.Attempted-l.Acked-l.Failed, 1)
	}
	res.Busy = math.Float64frombits(r.busiest.Load())
	w.fill(res)
	res.Host = fingerprint(r.pids())
	res.judge()
	return res
}

// Limits of a generator that can be believed.
const (
	slipFloor = 1.0  // ms: less at p99 is not worth a word
	slipShare = 0.10 // of the produce latency's p99
	busyLimit = 0.95 // of the window, of one thread
	heldShare = 0.995
	debtTime  = 0.1 // s: a longer queue from the warm-up, acknowledged in the window, makes its latencies those of the queue
)

// mayBeLate is by how much, in ms at p99, the generator may be late where the latency's p99 is that.
func mayBeLate(produce float64) float64 { return max(slipFloor, slipShare*produce) }

// judge finds out whether the figures are the broker's: whether the generator kept its own schedule and had time to spare.
func (r *Result) judge() {
	l := &r.Load
	if slip, produce := r.Latency[LatencySlip], r.Latency[LatencyProduce]; slip != nil && produce != nil {
		if limit := mayBeLate(produce.P99); slip.P99 > limit {
			r.Invalid = append(r.Invalid, fmt.Sprintf("the generator was late by %.3g ms at p99, more than %.3g ms: give it more of the machine, or ask for less", slip.P99, limit))
		}
	}
	if r.Busy > busyLimit {
		r.Invalid = append(r.Invalid, fmt.Sprintf("a thread of the generator was busy %.0f %% of the window: the broker may be able to do more than it was asked", 100*r.Busy))
	}
	if l.Asked == 0 || l.Failed > 0 {
		return
	}
	// What was due, not the nominal rate, is what can be acknowledged: random arrivals are a little more or less.
	due, records := float64(l.Due), float64(l.Records)
	short, debt := heldShare*due-records, records-due
	switch {
	case l.Due == 0:
		r.Invalid = append(r.Invalid, "no record was due in the window: measure longer, or ask for more")
	case debt > max((1-heldShare)*due, debtTime*l.Asked):
		r.Saturated = true // the window began with a queue of the warm-up's, which is in its latencies
	case short <= 0:
	case float64(l.PeakBacklog) >= short:
		// Records that were due and waited for room in the window, or that were on their way, are the broker's; what was never due
		// is the generator's.
		r.Saturated = true
	default:
		r.Invalid = append(r.Invalid, fmt.Sprintf("%.1f records/s were asked for, %.1f reached, and the broker was not what kept it", l.Asked, l.Achieved))
	}
}
