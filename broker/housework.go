package broker

import (
	"time"

	"github.com/millrace/millrace/replica"
)

// firstRetention is how long after the start retention looks first, as Kafka's log.initial.task.delay.ms.
const firstRetention = 30 * time.Second

// doHousework is the node's one ticking goroutine: recovery points and idle files each second, retention as often as it is set.
func (n *Node) doHousework() {
	defer close(n.housework.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	retention := n.config.Duration("log.retention.check.interval.ms")
	if retention <= 0 {
		retention = 5 * time.Minute
	}
	due := time.Now().Add(firstRetention)
	for {
		select {
		case <-n.housework.stop:
			return
		case <-tick.C:
		}
		_ = n.dir.Tick(n.now()) // what fails here takes the directory offline, and offline tells
		if now := time.Now(); now.After(due) {
			due = now.Add(retention)
			n.retain()
		}
	}
}

// retain deletes what topics' retention no longer keeps.
func (n *Node) retain() {
	n.table.Each(func(p *replica.Partition) bool {
		select {
		case <-n.housework.stop:
			return false
		default:
		}
		deleted, err := p.Retain(n.now())
		switch {
		case err != nil && !isWait(err):
			n.log.Error("retention", "topic", p.Topic.Name, "partition", p.Index, "err", err)
		case deleted > 0:
			n.log.Info("retention deleted segments", "topic", p.Topic.Name, "partition", p.Index, "segments", deleted)
		}
		return true
	})
}
