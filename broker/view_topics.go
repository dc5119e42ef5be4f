package broker

import (
	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
)

// PartitionStats is a partition that this broker leads, or several: then numbers are added up.
type PartitionStats struct {
	Index           int32
	Leader          int32
	Replicas, InISR int
	Preferred       int // 1: led by the first of its replicas; of several, when all are
	UnderReplicated int
	UnderMinISR     int
	AtMinISR        int
	Visible         int64 // high watermark
	LogStart        int64
	Size            int64 // bytes
	Counts          Counts
}

// Counts is what has gone through partitions.
type Counts = replica.Counts

// TopicStats is the part of a topic that this broker leads.
type TopicStats struct {
	Name       string
	Durability string
	Led        int              // partitions
	Sum        PartitionStats   // of them
	Partitions []PartitionStats // of them, by number; nil when they were not asked for
}

// Topics calls f for every topic of which this broker leads partitions, in order of their names. t is f's until it returns.
func (v View) Topics(partitions bool, f func(t *TopicStats)) {
	n := v.n
	im := n.image()
	var t TopicStats
	im.EachTopic(func(is *meta.Topic) bool {
		topic := n.table.TopicByID(is.ID)
		if topic == nil {
			return true // created or removed right now
		}
		c := topic.Config()
		t = TopicStats{Name: is.Name, Durability: c.Durability.String(), Sum: PartitionStats{Index: -1, Leader: -1, Preferred: 1}, Partitions: t.Partitions[:0]}
		for i := range is.Partitions {
			p, _ := topic.Partition(int32(i))
			if p == nil {
				continue
			}
			if _, leads := p.Leads(); !leads {
				continue
			}
			one := look(p, &is.Partitions[i], int(c.MinInsyncReplicas))
			t.Led++
			t.Sum.Add(&one)
			if partitions {
				t.Partitions = append(t.Partitions, one)
			}
		}
		if t.Led > 0 {
			f(&t)
		}
		return true
	})
}

func look(p *replica.Partition, is *meta.Partition, minISR int) PartitionStats {
	log := p.Log()
	s := PartitionStats{
		Index: p.Index, Leader: is.Leader, Replicas: len(is.Replicas), InISR: len(is.ISR),
		Visible: p.Visible(), LogStart: log.LogStart(), Size: log.Size(), Counts: p.Counts(),
	}
	count := func(to *int, yes bool) {
		if yes {
			*to = 1
		}
	}
	least := min(minISR, s.Replicas) // as replica.Partition has it
	count(&s.Preferred, s.Replicas > 0 && is.Replicas[0] == is.Leader)
	count(&s.UnderReplicated, s.InISR < s.Replicas)
	count(&s.UnderMinISR, s.InISR < least)
	count(&s.AtMinISR, s.InISR == least)
	return s
}

// Add makes s the sum of both.
func (s *PartitionStats) Add(o *PartitionStats) {
	s.Replicas += o.Replicas
	s.InISR += o.InISR
	s.Preferred = min(s.Preferred, o.Preferred)
	s.UnderReplicated += o.UnderReplicated
	s.UnderMinISR += o.UnderMinISR
	s.AtMinISR += o.AtMinISR
	s.Visible += o.Visible
	s.LogStart += o.LogStart
	s.Size += o.Size
	s.Counts.Add(&o.Counts)
}

// Beside is what was asked of partitions that no topic has any more, or never had.
func (v View) Beside() Counts {
	c, nowhere := v.n.table.Removed(), v.n.metrics.nowhereCounts()
	c.Add(&nowhere)
	return c
}
