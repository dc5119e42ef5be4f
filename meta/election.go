package meta

import "slices"

// election says how a leader is looked for.
type election int8

const (
	online    election = iota // the leader stays while it can
	preferred                 // the first replica leads if it can
	unclean                   // a replica that may lack acknowledged records leads rather than nobody
)

// elect finds the leader in the order of KIP-966: of the ISR, and when that is empty of the eligible, the first replica that may lead. None of these
// lacks an acknowledged record. Only where the topic, or who asks, allows an unclean election follow the last known leader and then any replica that
// may lead, last of all those that a reassignment adds, which may have nothing: dirty tells of it. A partition with one replica has nobody to compare it with, so that one leads again whatever it lost.
func (c *change) elect() (leader int32, dirty bool) {
	switch {
	case c.election == preferred && c.clean(c.replicas[0]):
		return c.replicas[0], false
	case c.clean(c.was.Leader):
		return c.was.Leader, false
	}
	if i := slices.IndexFunc(c.replicas, c.clean); i >= 0 {
		return c.replicas[i], false
	}
	if c.election == unclean || len(c.replicas) == 1 {
		for _, id := range c.lastKnown(NoLeader) {
			if c.may(id) {
				return id, true
			}
		}
	}
	if c.election == unclean {
		for _, id := range slices.Concat(minus(c.replicas, c.adding...), c.adding) {
			if c.may(id) {
				return id, true
			}
		}
	}
	return NoLeader, false
}

// clean tells whether the replica may lead without any record being lost.
func (c *change) clean(id int32) bool {
	return c.may(id) && (slices.Contains(c.isr, id) || len(c.isr) == 0 && slices.Contains(c.elr, id))
}
