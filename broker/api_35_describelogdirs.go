package broker

import (
	"path/filepath"

	"github.com/millrace/millrace/meta"
	"github.com/millrace/millrace/replica"
	"github.com/millrace/millrace/wire"
)

// DescribeLogDirs, versions 1-5: the log directory, the size of its volume, and the size of each partition in it.
//
//   - There is one directory, so no partition moves from one to another (is_future_key) and none is cordoned.
//   - null means every topic; an empty list none, which leaves the directory's own sizes. What this broker does not have is passed over.
//   - The size of a partition is that of its segments, whether or not they are open. The metadata log is not listed, as in Kafka.

func (n *Node) handleDescribeLogDirs(c *call) {
	req := new(wire.DescribeLogDirsRequest)
	if err := req.Decode(c.header.Version, c.body); err != nil {
		c.fail(err)
		return
	}
	count := 0
	for i := range req.Topics {
		count += 1 + len(req.Topics[i].Partitions)
	}
	if count > maxPartitions {
		c.fail(errTooManyPartitions)
		return
	}
	// It asks the file system, and may list very many partitions: not on the connection's loop.
	n.workers.cold.Go(func() {
		resp := new(wire.DescribeLogDirsResponse)
		resp.Default()
		d := resp.AddResult()
		d.LogDir = n.dir.Path()
		if path, err := filepath.Abs(d.LogDir); err == nil {
			d.LogDir = path
		}
		if total, usable, err := n.dir.Space(); err == nil && n.dir.Err() == nil {
			d.TotalBytes, d.UsableBytes = total, usable
			n.listSizes(d, req)
		} else {
			d.ErrorCode = wire.KafkaStorageError
		}
		c.respond(func(dst []byte) []byte { return resp.Append(c.header.Version, dst) })
	})
}

// listSizes adds the partitions asked for, each once.
func (n *Node) listSizes(d *wire.DescribeLogDirsResponseResult, req *wire.DescribeLogDirsRequest) {
	if req.Topics == nil {
		n.image().EachTopic(func(t *meta.Topic) bool {
			if tp := n.table.TopicByID(t.ID); tp != nil {
				rt := d.AddTopic()
				rt.Name = t.Name
				for i := range t.Partitions {
					addSize(rt, tp, int32(i))
				}
			}
			return true
		})
		return
	}
	wanted, order := map[*replica.Topic]map[int32]bool{}, []*replica.Topic(nil)
	for i := range req.Topics {
		t := &req.Topics[i]
		tp := n.table.Topic(t.Name)
		if tp == nil {
			continue
		}
		if wanted[tp] == nil {
			wanted[tp] = map[int32]bool{}
			order = append(order, tp)
		}
		for _, index := range t.Partitions {
			wanted[tp][index] = true
		}
	}
	for _, tp := range order {
		if len(wanted[tp]) == 0 {
			continue
		}
		rt := d.AddTopic()
		rt.Name = tp.Name
		for index := range tp.Partitions() {
			if wanted[tp][index] {
				addSize(rt, tp, index)
			}
		}
	}
}

func addSize(rt *wire.DescribeLogDirsResponseTopic, tp *replica.Topic, index int32) {
	if p, _ := tp.Partition(index); p != nil {
		rp := rt.AddPartition()
		rp.Index, rp.PartitionSize = index, p.Size()
	}
}
