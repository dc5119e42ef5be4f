package broker

import (
	"maps"
	"net/netip"
	"strconv"

	"github.com/millrace/millrace/meta"
)

// apply brings the partitions from one cluster image to the next, on the quorum's goroutine: the broker's own settings first, because topics take
// their defaults from them.
func (n *Node) apply(old, new *meta.Image) {
	changed := n.takeSettings(old, new)
	n.table.Apply(old, new)
	if changed {
		n.table.Reconfigure(new)
	}
}

// takeSettings puts what the image sets for this broker, and for all, in force. It tells whether anything has changed.
func (n *Node) takeSettings(old, new *meta.Image) bool {
	mine, all := n.settingsIn(new)
	if was, wasAll := n.settingsIn(old); maps.Equal(was, mine) && maps.Equal(wasAll, all) {
		return false
	}
	n.config.SetDynamic(mine, all)
	n.spreadSettings()
	return true
}

// settingsIn are the settings that an image has for this broker, and for all.
func (n *Node) settingsIn(im *meta.Image) (mine, all map[string]string) {
	return im.Config(meta.Resource{Type: meta.BrokerResource, Name: strconv.Itoa(int(n.id))}), im.Config(meta.Resource{Type: meta.BrokerResource})
}

// spreadSettings hands on what those who need it keep for themselves.
func (n *Node) spreadSettings() {
	n.limits.connections.Store(n.config.Int64("max.connections"))
	most, others := n.config.ConnectionsPerIP()
	n.limits.perAddress.Store(&perAddress{most, others})
	n.dir.SetProducerExpiry(n.config.Int64("producer.id.expiration.ms"))
}

// perAddress is max.connections.per.ip and its overrides. Immutable.
type perAddress struct {
	most   int
	others map[netip.Addr]int
}

// connectionsFrom is how many connections a client address may have open. Any goroutine.
func (n *Node) connectionsFrom(ip netip.Addr) int {
	limit := n.limits.perAddress.Load()
	if most, ok := limit.others[ip]; ok {
		return most
	}
	return limit.most
}
