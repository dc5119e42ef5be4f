package meta

import (
	"slices"

	"github.com/millrace/millrace/wire"
)

// Registration is how a broker asks to become part of the cluster.
type Registration struct {
	ClusterID string
	Broker    Broker // ID, Incarnation, Endpoints, Rack, Directories; the rest is the controller's to say

	// PreviousEpoch is the broker epoch of the last life that the log directory tells of, where it was synced before that life served; -1: of none. Intact
	// says that nothing of that life is lost, because it ended cleanly or because the page cache has survived.
	PreviousEpoch int64
	Intact        bool
}

// BrokerRegistration decides on a broker that joins or comes back. A new incarnation begins a new broker epoch, the offset of its record, and is
// fenced until a heartbeat shows that it has caught up. It is in no ISR any more; whether it is still eligible to lead depends on what it can prove to
// have (KIP-966). The same incarnation that asks again keeps its epoch, so a request may be repeated.
func BrokerRegistration(im *Image, s *Sessions, r *Registration, now int64, rules *Rules) ([]Record, error) {
	if r.ClusterID != im.ClusterID() {
		return nil, refused(wire.InconsistentClusterID, "Expected cluster ID %s, but got cluster ID %s", im.ClusterID(), r.ClusterID)
	}
	b := r.Broker
	if b.ID < 0 || b.Incarnation.IsZero() {
		return nil, refused(wire.InvalidRegistration, "Broker %d with incarnation %s: the id must not be negative, the incarnation not zero", b.ID, b.Incarnation)
	}
	was := im.Broker(b.ID)
	again := was != nil && was.Incarnation == b.Incarnation
	if was != nil && !again && was.ShutdownOffset == 0 && s.live(was, now) {
		return nil, refused(wire.DuplicateBrokerRegistration, "Another broker is registered with that broker id. If the broker was recently restarted "+
			"this should self-resolve once the heartbeat manager expires the broker's session.")
	}
	if err := checkDirectories(im, &b); err != nil {
		return nil, err
	}
	if again {
		if !slices.Equal(was.Directories, b.Directories) { // it would have to answer for what was in them
			return nil, refused(wire.InvalidRegistration, "Broker %d has other directories than when its incarnation %s began: they are changed by a restart", b.ID, b.Incarnation)
		}
		b.Epoch, b.Fenced, b.ShutdownOffset = was.Epoch, was.Fenced, was.ShutdownOffset
		if was.sameAs(&b) {
			return nil, nil
		}
		return []Record{BrokerRegistrationRecord{b}}, nil
	}
	b.Epoch, b.Fenced, b.ShutdownOffset = 0, true, 0
	return append(returns(im, was, r, rules), BrokerRegistrationRecord{b}), nil
}

func (b *Broker) sameAs(other *Broker) bool {
	return b.Rack == other.Rack && slices.Equal(b.Endpoints, other.Endpoints)
}

// firstDirectory is the first directory id that is one: Kafka has reserved the 100 below it, as unassigned, lost and so on.
var firstDirectory = wire.UUID{15: 100}

func checkDirectories(im *Image, b *Broker) error {
	if len(b.Directories) == 0 {
		return refused(wire.InvalidRegistration, "No directories specified in request")
	}
	for i, dir := range b.Directories {
		if compare(dir, firstDirectory) < 0 {
			return refused(wire.InvalidRegistration, "Reserved directory ID in request")
		}
		if slices.Contains(b.Directories[:i], dir) {
			return refused(wire.InvalidRegistration, "Duplicate directory ID in request")
		}
		var err error
		im.EachBroker(func(other *Broker) bool {
			if other.ID != b.ID && slices.Contains(other.Directories, dir) {
				err = refused(wire.InvalidRegistration, "Broker %d is already registered with directory %s", other.ID, dir)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// returns are the changes of the partitions that have a replica on a broker that comes back in a new incarnation. Whatever it was in sync with, it is
// not now. It stays eligible where it has all that it ever acknowledged: with an intact directory everywhere, with that of its last life but perhaps not
// all of it where nothing is acknowledged before it is synced. An older copy of the directory, or another one, has nothing that counts. Where it is not known in
// which of several directories a replica is, all of them must still be there.
func returns(im *Image, was *Broker, r *Registration, rules *Rules) []Record {
	b := &r.Broker
	same := was != nil && r.PreviousEpoch == was.Epoch
	gone := func(dir wire.UUID) bool { return !slices.Contains(b.Directories, dir) }
	someGone := was != nil && slices.ContainsFunc(was.Directories, gone)
	leave := leaves(im, b.ID)
	directory := func(id int32) wire.UUID {
		if id == b.ID && len(b.Directories) == 1 {
			return b.Directories[0]
		}
		return im.directory(id)
	}
	return im.sweep(rules, noLimit, func(p *Partition) bool { return contains(p.Replicas, b.ID) }, func(c *change) {
		leave(c)
		if c.was.Leader == NoLeader && c.election == unclean { // the one that comes back may be the one that has everything
			c.election = online
		}
		c.directory = directory
		c.wiped = someGone
		if len(c.was.Dirs) > 0 {
			if dir := c.was.Dirs[slices.Index(c.was.Replicas, b.ID)]; !dir.IsZero() {
				c.wiped = gone(dir)
			}
		}
		if c.wiped || !same || !r.Intact && !c.rules.Fsync {
			c.lost = b.ID
		}
	})
}

// UnregisterBroker removes a broker that will not come back; should it, it comes as a new one. Its replicas stay assigned, and lead nothing. One that
// is not fenced is running, and stays: Kafka removes it, and what it alone has is gone until it is started again.
func UnregisterBroker(im *Image, id int32, rules *Rules) ([]Record, error) {
	b := im.Broker(id)
	if b == nil {
		return nil, refused(wire.BrokerIDNotRegistered, "Broker ID %d is not currently registered", id)
	}
	if !b.Fenced {
		return nil, refused(wire.InvalidRequest, "Broker %d is running: it can be unregistered when it has been stopped, and is fenced", id)
	}
	eligible := func(p *Partition) bool { return contains(p.ELR, id) }
	rs := im.sweep(rules, noLimit, eligible, func(c *change) { c.lost = id })
	return append(rs, UnregisterBrokerRecord{id, b.Epoch}), nil
}
