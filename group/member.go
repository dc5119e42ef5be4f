package group

import (
	"bytes"
	"strings"

	"github.com/millrace/millrace/wire"
)

// member is one that has joined. Its bytes are its own copies, and never written again: answers show them.
type member struct {
	group                *group
	id                   string
	instance             wire.NullString
	clientID, clientHost string
	sessionTimeoutMs     int32
	rebalanceTimeoutMs   int32
	protocols            []Protocol
	assignment           []byte

	isNew    bool                // has not yet got the answer of its first join: it has no id to heartbeat with
	unsynced bool                // got the answer of a join, and has not synced in this generation
	join     func(*JoinResponse) // waits for the next generation
	sync     func(*SyncResponse) // waits for the leader's assignment

	session timer
}

// pendingMember has got an id to come back with (KIP-394).
type pendingMember struct {
	group   *group
	id      string
	session timer
}

// metadata is what the member says for a protocol, nil if it does not know it.
func (m *member) metadata(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return nil
}

// matches tells whether a join changes nothing of what the member said last.
func (m *member) matches(protocols []Protocol) bool {
	if len(protocols) != len(m.protocols) {
		return false
	}
	for i, p := range protocols {
		if p.Name != m.protocols[i].Name || !bytes.Equal(p.Metadata, m.protocols[i].Metadata) {
			return false
		}
	}
	return true
}

// answerJoin answers a join that waits, if one does.
func (m *member) answerJoin(r *JoinResponse) {
	if m.join == nil {
		return
	}
	done := m.join
	m.join = nil
	m.group.joining--
	done(r)
}

// waitToJoin keeps a join's func until the generation is complete. A client that asks again through another connection has given up on its first
// join; that one is told to ask again, too, lest it wait for ever.
func (m *member) waitToJoin(done func(*JoinResponse)) {
	m.answerJoin(refusedJoin(m.id, wire.RebalanceInProgress))
	m.join = done
	m.group.joining++
}

// answerSync answers a sync that waits, and tells whether one did.
func (m *member) answerSync(r *SyncResponse) bool {
	if m.sync == nil {
		return false
	}
	done := m.sync
	m.sync = nil
	done(r)
	return true
}

// mustSync notes that the member has to sync in the generation it has just been told of.
func (m *member) mustSync() {
	if !m.unsynced {
		m.unsynced = true
		m.group.unsynced++
	}
}

// synced ends that, and with the last one the wait for syncs.
func (s *Shard) synced(m *member) {
	if !m.unsynced {
		return
	}
	m.unsynced = false
	if m.group.unsynced--; m.group.unsynced == 0 && m.group.state != PreparingRebalance {
		s.timers.cancel(&m.group.rebalance)
	}
}

// assign gives the member its part of an assignment.
func (m *member) assign(data []byte) {
	m.group.charge(len(data) - len(m.assignment))
	m.assignment = data
}

// distinct leaves out protocols whose name has come before. Kafka counts those twice, and then finds no protocol that all members have.
func distinct(protocols []Protocol) []Protocol {
	if len(protocols) > 8 {
		return distinctOfMany(protocols)
	}
	for i := range protocols {
		for j := range protocols[:i] {
			if protocols[i].Name == protocols[j].Name {
				return distinctOfMany(protocols)
			}
		}
	}
	return protocols
}

func distinctOfMany(protocols []Protocol) []Protocol {
	seen := make(map[string]bool, len(protocols))
	out := make([]Protocol, 0, len(protocols))
	for _, p := range protocols {
		if !seen[p.Name] {
			seen[p.Name] = true
			out = append(out, p)
		}
	}
	return out
}

func copyProtocols(protocols []Protocol) []Protocol {
	out := make([]Protocol, len(protocols))
	for i, p := range protocols {
		out[i] = Protocol{strings.Clone(p.Name), append([]byte{}, p.Metadata...)}
	}
	return out
}

func protocolBytes(protocols []Protocol) int {
	n := 0
	for i := range protocols {
		n += len(protocols[i].Name) + len(protocols[i].Metadata) + protocolOverhead
	}
	return n
}

func (m *member) size() int {
	return memberOverhead + len(m.id) + len(m.clientID) + len(m.clientHost) + len(m.instance.Value) + protocolBytes(m.protocols) + len(m.assignment)
}

func (p *pendingMember) size() int { return pendingOverhead + len(p.id) }

// size is what a new member that joins so will take.
func (r *JoinRequest) size(protocols []Protocol) int {
	return memberOverhead + 2*len(r.ClientID) + len(r.ClientHost) + 2*len(r.Instance.Value) + protocolBytes(protocols)
}
