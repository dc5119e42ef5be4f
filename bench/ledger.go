package bench

import (
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// window is how far apart, in records, a loss, a repetition or a change of order is still told from a strange record.
const window = 1 << 10

// Ledger remembers every record that was sent, partition by partition in order, and holds what comes back against it. It keeps a
// hash per record, so nothing needs to be added to the records themselves.
type Ledger struct {
	partitions []partitionLedger
}

type partitionLedger struct {
	mu   sync.Mutex
	sent []uint64 // hash of each record, in the order of sending

	next       int            // the record of sent that should come now
	lastOffset int64          // of the record that came last
	missing    map[uint64]int // passed over in sent: how many of this hash
	strange    map[uint64]int // the same, where another record stood in its place
	found      Verdict
}

// Verdict is what the verification found. Only Intact counts as success.
type Verdict struct {
	Sent       int64 `json:"sent"`       // and acknowledged; once for each group that reads them
	Consumed   int64 `json:"consumed"`   // of those
	Failed     int64 `json:"failed"`     // attempted and not acknowledged: nobody knows whether they were kept. A run with failures is no result
	Lost       int64 `json:"lost"`       // sent, never seen
	Duplicated int64 `json:"duplicated"` // seen again
	Reordered  int64 `json:"reordered"`  // seen after records sent later
	Corrupted  int64 `json:"corrupted"`  // seen, but nobody sent it like that

	Examples []string `json:"examples,omitempty"` // of the first few mistakes
}

// Intact reports whether every record was acknowledged and came back once, in order, as it was sent.
func (v *Verdict) Intact() bool {
	return v.Sent == v.Consumed && v.Failed+v.Lost+v.Duplicated+v.Reordered+v.Corrupted == 0
}

func (v Verdict) String() string {
	if v.Intact() {
		return fmt.Sprintf("every one of %d records came back once, in order, unchanged", v.Sent)
	}
	return fmt.Sprintf("%d sent, %d consumed: %d lost, %d duplicated, %d out of order, %d corrupted, %d not acknowledged", v.Sent, v.Consumed, v.Lost, v.Duplicated, v.Reordered, v.Corrupted, v.Failed)
}

// Add puts another verdict to this one.
func (v *Verdict) Add(other Verdict) {
	v.Sent += other.Sent
	v.Consumed += other.Consumed
	v.Failed += other.Failed
	v.Lost += other.Lost
	v.Duplicated += other.Duplicated
	v.Reordered += other.Reordered
	v.Corrupted += other.Corrupted
	v.Examples = append(v.Examples, other.Examples[:min(len(other.Examples), max(0, maxExamples-len(v.Examples)))]...)
}

// maxExamples is how many mistakes are described.
const maxExamples = 5

func (v *Verdict) example(format string, args ...any) {
	if len(v.Examples) < maxExamples {
		v.Examples = append(v.Examples, fmt.Sprintf(format, args...))
	}
}

// NewLedger is for a topic with that many partitions, of which nothing has been sent yet.
func NewLedger(partitions int) *Ledger {
	l := &Ledger{partitions: make([]partitionLedger, partitions)}
	for i := range l.partitions {
		l.partitions[i].lastOffset = -1
		l.partitions[i].missing, l.partitions[i].strange = map[uint64]int{}, map[uint64]int{}
	}
	return l
}

// hash covers the border between key and value, and tells null from empty.
func hash(key, value []byte) uint64 {
	h := xxhash.Sum64(key)
	if key == nil {
		h = 1
	}
	v := xxhash.Sum64(value)
	if value == nil {
		v = 1
	}
	return h*0x9e3779b97f4a7c15 ^ v
}

// Sent notes a record; the order of the calls is the order of the partition.
func (l *Ledger) Sent(partition int32, key, value []byte) {
	p := &l.partitions[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, hash(key, value))
}

// Came holds a record that was consumed against what was sent.
func (l *Ledger) Came(partition int32, offset int64, key, value []byte) {
	p := &l.partitions[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found.Consumed++
	h := hash(key, value)
	if offset <= p.lastOffset {
		if p.missing[h] == 0 {
			p.found.Duplicated++
			p.found.example("partition %d: offset %d came again after offset %d", partition, offset, p.lastOffset)
			return
		}
	} else {
		p.lastOffset = offset
	}
	if p.next < len(p.sent) && p.sent[p.next] == h {
		p.next++
		return
	}
	p.misfit(partition, offset, h)
}

// misfit finds out why a record is not the one expected.
func (p *partitionLedger) misfit(partition int32, offset int64, h uint64) {
	if take(p.missing, h) {
		p.found.Reordered++
		p.found.example("partition %d, offset %d: a record sent earlier came late", partition, offset)
		return
	}
	if take(p.strange, h) {
		return // what stood in its place was one too many, and has been counted
	}
	for d := 1; d <= window; d++ { // the nearest explanation is the likeliest
		if p.next+d < len(p.sent) && p.sent[p.next+d] == h {
			for _, passed := range p.sent[p.next : p.next+d] {
				p.missing[passed]++
			}
			p.found.example("partition %d, offset %d: %d records before it have not come", partition, offset, d)
			p.next += d + 1
			return
		}
		if p.next-d >= 0 && p.next-d < len(p.sent) && p.sent[p.next-d] == h {
			p.found.Duplicated++
			p.found.example("partition %d, offset %d: the record has come before", partition, offset)
			return
		}
	}
	p.found.Corrupted++
	p.found.example("partition %d, offset %d: no such record was sent", partition, offset)
	if p.next < len(p.sent) { // it probably stands in the place of the one expected
		p.strange[p.sent[p.next]]++
		p.next++
	}
}

func take(set map[uint64]int, h uint64) bool {
	n := set[h]
	if n == 0 {
		return false
	}
	if n == 1 {
		delete(set, h)
	} else {
		set[h] = n - 1
	}
	return true
}

// Verdict sums up. What was sent and has not come by now is lost.
func (l *Ledger) Verdict() Verdict {
	var sum Verdict
	for i := range l.partitions {
		p := &l.partitions[i]
		p.mu.Lock()
		v := p.found
		v.Sent = int64(len(p.sent))
		v.Lost = int64(len(p.sent) - p.next)
		for _, n := range p.missing {
			v.Lost += int64(n)
		}
		if behind := len(p.sent) - p.next; behind > 0 {
			v.example("partition %d: the last %d records have not come", i, behind)
		}
		p.mu.Unlock()
		sum.Add(v)
	}
	return sum
}
