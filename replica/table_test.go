package replica

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// topicRecords create a topic led by broker 1.
func topicRecords(name string, id wire.UUID, partitions int) []meta.Record {
	rs := []meta.Record{meta.TopicRecord{Name: name, ID: id}}
	for i := range partitions {
		rs = append(rs, meta.PartitionRecord{TopicID: id, Number: int32(i), Partition: meta.Partition{Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}})
	}
	return rs
}

func numbered(i int) (string, wire.UUID) {
	return fmt.Sprint("topic-", i), wire.UUID{1, byte(i >> 16), byte(i >> 8), byte(i), 15: byte(i * 7)}
}

func byID(t *Table, id wire.UUID, index int32) *Partition {
	if tp := t.TopicByID(id); tp != nil {
		p, _ := tp.Partition(index)
		return p
	}
	return nil
}

func TestTableFindsWhatTheImageHas(t *testing.T) {
	tr := newTracer(t)
	const topics = 2000
	for i := range topics {
		name, id := numbered(i)
		tr.apply(topicRecords(name, id, 1+i%3)...)
	}
	for i := range topics {
		name, id := numbered(i)
		for index := range int32(4) {
			want := int(index) < 1+i%3
			named, identified := tr.table.Lookup(name, index), byID(tr.table, id, index)
			if (named != nil) != want || named != identified {
				t.Fatalf("%s-%d: by name %v, by id %v", name, index, named != nil, identified != nil)
			}
		}
	}
	count := 0
	tr.table.Each(func(*Partition) bool { count++; return true })
	if want := tr.image.PartitionCount(); count != want {
		t.Errorf("Each came to %d partitions of %d", count, want)
	}
	// Deleted and created again between two images: another topic under the same name.
	name, id := numbered(5)
	other := wire.UUID{9, 9}
	before := tr.table.Lookup(name, 0)
	tr.apply(append([]meta.Record{meta.RemoveTopicRecord{ID: id}}, topicRecords(name, other, 1)...)...)
	if p := tr.table.Lookup(name, 0); p == nil || p == before || p.Topic.ID != other {
		t.Errorf("after removal and creation: %+v", p)
	}
	if byID(tr.table, id, 0) != nil {
		t.Error("the removed topic is still found by its id")
	}
	if tr.table.Lookup("nowhere", 0) != nil || byID(tr.table, wire.UUID{}, 0) != nil || tr.table.Lookup(name, -1) != nil {
		t.Error("something was found that is not there")
	}
}

// Look-ups by a view of a frame allocate nothing, also while topics come and go.
func TestLookupsAllocateNothing(t *testing.T) {
	tr := newTracer(t)
	for i := range 100 {
		name, id := numbered(i)
		tr.apply(topicRecords(name, id, 1)...)
	}
	name, id := numbered(50)
	name = strings.Clone(name)
	if n := testing.AllocsPerRun(1000, func() {
		if tr.table.Lookup(name, 0) == nil || byID(tr.table, id, 0) == nil {
			t.Error("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// DESIGN 4: 10,000 partitions cost at most 1 KiB of heap each, and open nothing.
func TestTenThousandPartitionsAreSmall(t *testing.T) {
	tr := newTracer(t)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	rs := topicRecords("many", wire.UUID{1}, 10_000)
	before := heap()
	tr.apply(rs...)
	after := heap()
	runtime.KeepAlive(rs)
	if each := int64(after-before) / 10_000; each > 1024 {
		t.Errorf("%d bytes each", each)
	} else {
		t.Logf("%d bytes each", each)
	}
}

// Readers and appenders meet a table that changes under them. The race detector watches.
func TestTableUnderChange(t *testing.T) {
	tr := newTracer(t)
	name, id := numbered(0)
	tr.apply(append(topicRecords(name, id, 1), tr.settings(id, name, map[string]string{"durability": "os"})...)...)
	p := tr.table.Lookup(name, 0)
	var b record.Builder
	b.Reset(record.BuildOptions{})
	b.Add(1, nil, []byte("x"))
	raw, _, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Add(2)
	go func() {
		defer all.Done()
		batch := record.Batch(raw)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := p.Append(batch, AppendOptions{Now: 1}, nil); err == ErrWait {
				ready := make(chan struct{})
				p.WhenReady(func() { close(ready) })
				<-ready
			} else if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	go func() {
		defer all.Done()
		for {
			select {
			case <-stop:
				return
			default:
			}
			var r ReadResult
			o := ReadOptions{LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1000, MinOne: true}
			if err := p.Read(&o, &r); err == nil {
				if r.Slice.Length == 0 && r.HighWatermark > 0 {
					t.Errorf("nothing below %d", r.HighWatermark)
				}
				r.Slice.Release()
			}
			tr.table.Lookup("topic-17", 0)
		}
	}()
	for i := 1; i < 200; i++ {
		other, otherID := numbered(i)
		tr.apply(topicRecords(other, otherID, 2)...)
		tr.apply(meta.PartitionChangeRecord{TopicID: id, Leader: 1})
	}
	close(stop)
	all.Wait()
}
