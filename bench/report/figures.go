package report

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/bench"
	"github.com/millrace/millrace/bench/host"
)

// figure is a number that may not be known, because nothing was measured or there was nothing to divide by.
type figure struct {
	value float64
	known bool
}

func per(a, b float64) figure {
	if b <= 0 {
		return figure{}
	}
	return figure{a / b, true}
}

// use is what all brokers of a run used together.
type use struct {
	cores        figure // busy on average
	user         figure // share of it, the rest is the kernel's
	perGigabyte  figure // CPU seconds of 10^9 bytes of keys and values acknowledged; of those fetched when none were
	perRequest   figure // CPU microseconds of a produce request (fetches are in it); of a fetch when there was none
	perRecord    figure // CPU microseconds
	anon, file   figure // bytes at the end
	peak         figure // of anonymous memory, bytes
	written      figure // bytes that went to the block layer
	switches     figure // of threads, a second
	unit, verb   string // of perRequest: request or fetch; acknowledged or fetched
	threads      []thread
	elapsed, cpu time.Duration
}

// thread is threads of one name.
type thread struct {
	name  string
	cores float64
}

func usage(r *bench.Result) use {
	u := use{unit: "request", verb: "acknowledged", cpu: r.BrokerCPU()}
	each := func(n int64, unit float64) figure {
		v, ok := r.CPUPer(n)
		return figure{v * unit, ok}
	}
	threads := map[string]time.Duration{}
	var user time.Duration
	var anon, file, peak, written, switches int64
	for _, b := range r.Brokers {
		u.elapsed = max(u.elapsed, b.Elapsed)
		user += b.User
		anon, file, peak = anon+b.Anon, file+b.File, peak+b.PeakAnon
		written, switches = written+b.WrittenBytes, switches+b.Voluntary+b.Involuntary
		for name, took := range b.Threads {
			threads[name] += took
		}
	}
	if u.elapsed == 0 {
		return u
	}
	records, bytes, requests := r.Load.Records, r.Load.Bytes, r.Load.Requests
	if records == 0 {
		records, bytes, requests, u.unit, u.verb = r.Load.Fetched, r.Load.FetchedBytes, r.Load.Fetches, "fetch", "fetched"
	}
	u.cores = per(u.cpu.Seconds(), u.elapsed.Seconds())
	u.user = per(user.Seconds(), u.cpu.Seconds())
	u.perGigabyte, u.perRequest, u.perRecord = each(bytes, 1e9), each(requests, 1e6), each(records, 1e6)
	u.anon, u.file, u.peak = figure{float64(anon), true}, figure{float64(file), true}, figure{float64(peak), true}
	u.written, u.switches = figure{float64(written), true}, per(float64(switches), u.elapsed.Seconds())
	for _, name := range slices.Sorted(maps.Keys(threads)) {
		u.threads = append(u.threads, thread{name, threads[name].Seconds() / u.elapsed.Seconds()})
	}
	slices.SortStableFunc(u.threads, func(a, b thread) int {
		switch {
		case a.cores > b.cores:
			return -1
		case a.cores < b.cores:
			return 1
		}
		return 0
	})
	return u
}

// ownCores is how busy the generator was.
func ownCores(own host.Usage) figure {
	return per((own.User + own.System).Seconds(), own.Elapsed.Seconds())
}

// rate is a count in the window by the second.
func rate(r *bench.Result, n int64) figure { return per(float64(n), r.Load.Elapsed.Seconds()) }

// held is the share of the asked rate that was achieved.
func held(r *bench.Result) figure { return per(r.Load.Achieved, r.Load.Asked) }
