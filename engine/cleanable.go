package engine

import (
	"math"
	"slices"

	"github.com/millrace/millrace/segment"
)

// Dirt is what a look at a compacted log says: how much of it can be cleaned, and whether it is time to.
type Dirt struct {
	Clean, Dirty int64 // bytes of the segments below and above what was cleaned; those that cannot be cleaned now do not count
	Due          bool  // the dirty share is above the topic's ratio, or some of it older than its largest lag

	first, bound int64 // offsets: the first dirty one, and the base of the first segment that cannot be cleaned
}

// Ratio is the dirty share.
func (d Dirt) Ratio() float64 {
	if d.Dirty == 0 {
		return 0
	}
	return float64(d.Dirty) / float64(d.Clean+d.Dirty)
}

// looked is what the last look has found, for as long as nothing has changed.
type looked struct {
	config *Config
	active int64 // base of the active segment then
	until  int64 // ms: another look may find something else
	dirt   Dirt
}

// Cleanable says how dirty a log is, by Kafka's rules: nothing of the active segment, of open transactions, above the high watermark, above what is
// on the disk, or younger than the topic's smallest lag can be cleaned. A log that has not changed since the last look is not looked at again, and
// one that is closed stays closed. Off the loops.
func (l *Log) Cleanable(now, highWatermark int64) (Dirt, error) {
	c := l.config.Load()
	if !c.Compacted {
		return Dirt{}, nil
	}
	if err := l.offline(); err != nil {
		return Dirt{}, err
	}
	l.mu.Lock()
	phase, active := l.mu.phase, int64(-1)
	if l.mu.o != nil {
		active = l.mu.o.active().Base()
	}
	l.mu.Unlock()
	switch phase {
	case phaseNone, phaseUnknown, phaseGone:
		return Dirt{}, nil
	case phaseClosed:
		active = l.recordCopy().activeBase
	}
	if k := l.looked.Load(); k != nil && k.config == c && k.active == active && now < k.until {
		return k.dirt, nil
	}
	cleanedTo, cleaned, err := l.dir.cleanedTo(l.folder)
	if err != nil {
		return Dirt{}, l.fail(err)
	}
	if active == 0 || cleaned && active <= cleanedTo || active <= l.logStart.Load() {
		return Dirt{}, nil // nothing but the active segment is dirty
	}
	d, err := l.openAndLook(now, highWatermark)
	if phase == phaseClosed && err == nil && !d.Due {
		l.Idle(now, 0) // thousands of logs must not stay open because somebody has looked
	}
	return d, err
}

func (l *Log) openAndLook(now, highWatermark int64) (Dirt, error) {
	l.work.Lock()
	defer l.work.Unlock()
	o, err := l.openForCleaning()
	if o == nil {
		return Dirt{}, err
	}
	return l.look(o, now, highWatermark)
}

// openForCleaning opens a log's files. nil: there is nothing in it. Holds work.
func (l *Log) openForCleaning() (*opened, error) {
	if err := l.open(false); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.o, nil
}

// look measures an open log. Holds work.
func (l *Log) look(o *opened, now, highWatermark int64) (d Dirt, err error) {
	cleanedTo, cleaned, err := l.dir.cleanedTo(l.folder)
	if err != nil {
		return Dirt{}, l.fail(err)
	}
	c := l.config.Load()
	v := &view{o.segments} // it grows under work only
	last := len(v.segments) - 1
	k := &looked{config: c, active: v.segments[last].Base(), until: math.MaxInt64}
	d.first = l.logStart.Load()
	if cleaned && cleanedTo >= d.first && cleanedTo <= l.logEnd.Load() {
		d.first = cleanedTo
	}
	d.bound = k.active
	if stable := min(l.LastStable(highWatermark), l.flushedTo.Load()); stable < d.bound {
		d.bound, k.until = stable, math.MinInt64 // that moves all the time
	}
	dirty := v.segments[max(0, v.find(d.first)):last]
	if c.MinCompactionLag > 0 {
		young, at, err := firstYoung(dirty, now-c.MinCompactionLag)
		if err != nil {
			return Dirt{}, l.cleanFailed(err)
		}
		if young >= 0 {
			d.bound, k.until = min(d.bound, dirty[young].Base()), min(k.until, at+c.MinCompactionLag)
		}
	}
	d.bound = v.segments[max(0, v.find(d.bound))].Base()
	for _, s := range v.segments {
		if s.Base() < d.first {
			d.Clean += s.Size()
		}
	}
	for _, s := range dirty {
		if s.Base() < d.bound {
			d.Dirty += s.Size()
		}
	}
	d.Due = d.Ratio() > c.MinCleanableRatio
	if c.MaxCompactionLag < math.MaxInt64 && !d.Due && d.Dirty > 0 {
		oldest, err := oldestFirst(dirty)
		if err != nil {
			return Dirt{}, l.cleanFailed(err)
		}
		if d.Due = oldest < now-c.MaxCompactionLag; !d.Due && oldest < math.MaxInt64-c.MaxCompactionLag {
			k.until = min(k.until, oldest+c.MaxCompactionLag+1)
		}
	}
	k.dirt = d
	l.looked.Store(k)
	return d, nil
}

// firstYoung is the first segment with a record younger than after, and that record's timestamp; -1 when there is none.
func firstYoung(segments []*segment.Segment, after int64) (i int, timestamp int64, err error) {
	i = slices.IndexFunc(segments, func(s *segment.Segment) bool {
		if err == nil {
			timestamp, _, err = s.MaxTimestamp(true)
		}
		return err != nil || timestamp > after
	})
	return i, timestamp, err
}

// oldestFirst is the smallest of the timestamps that the segments begin with; MaxInt64 when none of them has one.
func oldestFirst(segments []*segment.Segment) (int64, error) {
	oldest := int64(math.MaxInt64)
	for _, s := range segments {
		first, err := s.FirstTimestamp()
		if err != nil {
			return 0, err
		}
		if first > 0 {
			oldest = min(oldest, first)
		}
	}
	return oldest, nil
}
