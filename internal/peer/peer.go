// Package peer is how brokers talk to one another about replication: the frames of a stream that a follower opens to a leader.
//
// The follower says who it is (Hello), then subscribes to partitions with the end of its log and the epoch of its last record (Subscribe). The
// leader compares that with its own log and answers Subscribed, or how the follower has to change first (Diverge, OutOfRange), or Refused. From
// Subscribed on it pushes batches as they lie in its log (Data), a window of bytes ahead of the follower's cumulative Acks, and tells the high
// watermark with each of them, or in Marks when there is nothing else to send.
//
// A handle names one subscription. The follower chooses it, larger with each one, so that whatever belongs to an earlier subscription, and so to an
// earlier leader epoch or to a log that has been cut since, is told apart and dropped.
package peer

// Kind of a frame.
type Kind uint8

const (
	Hello      Kind = iota + 1 // follower: who it is and whom it expects; the first frame
	Subscribe                  // follower: where its log ends
	Subscribed                 // leader: from here on Data comes; BaseOffset is the log's end when the leader's epoch began
	Diverge                    // leader: Detail is the largest epoch that it has up to the follower's last, BaseOffset that epoch's end
	OutOfRange                 // leader: what follows the follower's end was deleted; LogStart is the first offset that is left
	Refused                    // leader: Code is why; Handle 0: the stream as a whole
	Data                       // leader: batches; Detail is how many offsets from BaseOffset on they cover
	Ack                        // follower: how far its logs have come
	Marks                      // leader: high watermarks, when no Data carries them
	Nack                       // follower: what came for BaseOffset is not what the leader can have written; Code is why
	Heartbeat                  // both: nothing else was sent for a while
	lastKind   = Heartbeat
)

func (k Kind) String() string {
	names := [...]string{"none", "hello", "subscribe", "subscribed", "diverge", "out of range", "refused", "data", "ack", "marks", "nack", "heartbeat"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Limits of a frame's body.
const (
	MaxData    = 128 << 20 // one batch that is larger than the window travels alone
	MaxEntries = 2048      // of an Ack or Marks
)
