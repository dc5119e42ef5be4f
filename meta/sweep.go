package meta

import (
	"math"
	"slices"
)

const noLimit = math.MaxInt

// sweep makes the same change to all partitions that it concerns, in the order of the topics' names, and stops after limit records.
func (im *Image) sweep(rules *Rules, limit int, concerns func(p *Partition) bool, want func(c *change)) (rs []Record) {
	topics := rules.topics(im)
	im.EachTopic(func(t *Topic) bool {
		var of TopicRules
		known := false
		for i := range t.Partitions {
			if len(rs) == limit {
				return false
			}
			if !concerns(&t.Partitions[i]) {
				continue
			}
			if !known {
				of, known = topics(t), true
			}
			c := newChange(im, t, int32(i), of)
			want(c)
			if r, ok := c.record(); ok {
				rs = append(rs, r)
			}
		}
		return true
	})
	return rs
}

// inSync concerns the partitions that have the broker in their ISR.
func inSync(id int32) func(p *Partition) bool {
	return func(p *Partition) bool { return contains(p.ISR, id) }
}

// leaves takes the broker out of the ISR. It keeps what it has, so it may be eligible; but it leads nothing now.
func leaves(im *Image, id int32) func(c *change) {
	may := func(other int32) bool { return other != id && im.active(other) }
	return func(c *change) {
		c.isr = minus(c.isr, id)
		c.may = may
	}
}

func contains(l []int32, id int32) bool { return slices.Contains(l, id) }
