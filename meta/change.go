package meta

import (
	"slices"

	"github.com/millrace/millrace/wire"
)

// TopicRules are what decisions about partitions take from the settings of their topic.
type TopicRules struct {
	MinISR  int  // min.insync.replicas
	Unclean bool // unclean.leader.election.enable
	Fsync   bool // millrace.durability is fsync: no power cut takes what a replica has acknowledged
}

// topics are the rules of all topics as an image has their settings.
func (r *Rules) topics(im *Image) func(t *Topic) TopicRules {
	if r.Topics == nil {
		return func(*Topic) TopicRules { return TopicRules{MinISR: 1} }
	}
	return r.Topics(im)
}

// change is a change of a partition in the making. Its fields begin as the partition is; who wants a change sets some of them, and record works
// out what follows: whether that completes a reassignment, who is eligible, who leads, which epochs begin.
type change struct {
	topic  *Topic
	number int32
	was    *Partition
	rules  TopicRules

	replicas, isr    []int32
	adding, removing []int32
	elr              []int32                  // follows from the others
	may              func(id int32) bool      // who may lead
	directory        func(id int32) wire.UUID // of a new replica on that broker
	election         election
	lost             int32 // a replica that may lack what it has acknowledged; NoLeader: there is none
	wiped            bool  // the lost one has nothing at all: its directory is a new one
	recovered        bool
}

func newChange(im *Image, t *Topic, number int32, rules TopicRules) *change {
	was := &t.Partitions[number]
	c := &change{topic: t, number: number, was: was, rules: rules, replicas: was.Replicas, isr: was.ISR,
		may: im.active, directory: im.directory, lost: NoLeader}
	if was.Reassignment != nil {
		c.adding, c.removing = was.Reassignment.Adding, was.Reassignment.Removing
	}
	if rules.Unclean {
		c.election = unclean
	}
	return c
}

// record is the record that makes the change; ok is false when nothing changes.
func (c *change) record() (r PartitionChangeRecord, ok bool) {
	c.completeReassignment()
	c.elr = c.eligible()
	leader, dirty := c.elect()
	switch {
	case dirty:
		c.isr, c.elr = []int32{leader}, nil
	case slices.Contains(c.elr, leader):
		c.isr, c.elr = []int32{leader}, minus(c.elr, leader)
		if c.minISR() == 1 {
			c.elr = nil
		}
	}
	r = PartitionChangeRecord{TopicID: c.topic.ID, Number: c.number, Leader: LeaderUnchanged, Unclean: dirty}
	// A replica that is none any more must not answer in the old epoch: it begins a new one even when the leader stays.
	if leader != c.was.Leader || !covers(c.replicas, c.was.Replicas) {
		r.Leader = leader
	}
	r.Recovered = c.recovered && c.was.Recovering && !dirty
	r.Replicas = changed(c.was.Replicas, c.replicas)
	r.ISR = changed(c.was.ISR, c.isr)
	r.ELR = changed(c.was.ELR, c.elr)
	r.LastKnownELR = changed(c.was.LastKnownELR, c.lastKnown(leader))
	var moving Reassignment
	if c.was.Reassignment != nil {
		moving = *c.was.Reassignment
	}
	r.Adding, r.Removing = changed(moving.Adding, c.adding), changed(moving.Removing, c.removing)
	if r.Replicas != nil || c.wiped {
		r.Dirs = c.dirs()
	}
	ok = r.Leader != LeaderUnchanged || r.Recovered || r.Replicas != nil || r.ISR != nil || r.ELR != nil || r.LastKnownELR != nil ||
		r.Adding != nil || r.Removing != nil || r.Dirs != nil
	return r, ok
}

// completeReassignment removes the replicas that are to go once all those are in sync that are to stay. The reassignment never shrinks the ISR
// otherwise.
func (c *change) completeReassignment() {
	if len(c.adding) == 0 && len(c.removing) == 0 {
		return
	}
	stay, inSync := minus(c.replicas, c.removing...), minus(c.isr, c.removing...)
	if len(stay) == 0 || !covers(inSync, stay) {
		return
	}
	c.replicas, c.isr, c.adding, c.removing = stay, inSync, nil, nil
}

func (c *change) minISR() int {
	p := Partition{Replicas: c.replicas, Reassignment: reassignment(c.adding, c.removing)}
	return p.MinISR(c.rules.MinISR)
}

// eligible are the eligible leader replicas of KIP-966. While there are fewer replicas in sync than min.insync.replicas the high watermark stands
// still, so who leaves the ISR goes on to have all that is below it, as long as it loses nothing. With enough in sync it advances without the
// others: then nobody else is eligible.
func (c *change) eligible() []int32 {
	if len(c.isr) >= c.minISR() {
		return nil
	}
	was := c.was.ELR
	if len(c.was.ISR) >= c.was.MinISR(c.rules.MinISR) { // the setting has been lowered since
		was = nil
	}
	return pick(c.replicas, func(id int32) bool {
		return id != c.lost && !slices.Contains(c.isr, id) && (slices.Contains(c.was.ISR, id) || slices.Contains(was, id))
	})
}

// lastKnown remembers who led until the partition has a leader again, as Kafka does. It is no candidate when its disk is another.
func (c *change) lastKnown(leader int32) []int32 {
	last := c.was.LastKnownELR
	switch {
	case leader != NoLeader:
		return nil
	case c.was.Leader != NoLeader:
		last = []int32{c.was.Leader}
	}
	return pick(last, func(id int32) bool { return slices.Contains(c.replicas, id) && !(c.wiped && id == c.lost) })
}

// dirs are the directories of the replicas: those they had, and of new or wiped ones that which their broker has, if it has one.
func (c *change) dirs() []wire.UUID {
	dirs := make([]wire.UUID, len(c.replicas))
	for i, id := range c.replicas {
		at := slices.Index(c.was.Replicas, id)
		switch {
		case at < 0 || c.wiped && id == c.lost:
			dirs[i] = c.directory(id)
		case len(c.was.Dirs) > 0:
			dirs[i] = c.was.Dirs[at]
		}
	}
	if slices.Equal(dirs, c.was.Dirs) {
		return nil
	}
	if len(c.was.Dirs) == 0 && !slices.ContainsFunc(dirs, func(id wire.UUID) bool { return !id.IsZero() }) {
		return nil
	}
	return dirs
}

// directory is where a broker would put a new replica, zero when it is for the broker to choose.
func (im *Image) directory(id int32) wire.UUID {
	if b := im.Broker(id); b != nil && len(b.Directories) == 1 {
		return b.Directories[0]
	}
	return wire.UUID{}
}

// changed is the list a record must state, nil when it states none.
func changed(was, is []int32) []int32 {
	switch {
	case slices.Equal(was, is):
		return nil
	case is == nil:
		return []int32{}
	}
	return is
}

// pick are those of the list for which f holds.
func pick(l []int32, f func(id int32) bool) []int32 {
	picked := make([]int32, 0, len(l))
	for _, id := range l {
		if f(id) {
			picked = append(picked, id)
		}
	}
	return picked
}

// minus are those of the list that are not among the others.
func minus(l []int32, others ...int32) []int32 {
	return pick(l, func(id int32) bool { return !slices.Contains(others, id) })
}

// covers tells whether all the others are in the list.
func covers(l, others []int32) bool {
	return !slices.ContainsFunc(others, func(id int32) bool { return !slices.Contains(l, id) })
}
