package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Transport carries messages to other voters. It may lose, repeat and reorder them; it must not wait.
type Transport interface {
	// Send sends a message, which the transport may keep, to the voter with that id.
	Send(to int32, message []byte)
}

// A message is one of Raft's, between two directories in which voters keep their promises; to is zero as long as the sender does not know it:
//
//	0        4      20   36
//	| crc32c | from | to | raftpb.Message |     the checksum covers what follows it
const messageHeader = 36

// prepareMessages has protobuf do what it does at the first use of a message. That takes as long as opening the log's files does, so it can
// go on beside it.
func prepareMessages() {
	proto.Equal(&raftpb.ConfState{}, &raftpb.ConfState{})
	proto.Size(&raftpb.Entry{})
}

func appendMessage(dst []byte, from, to wire.UUID, m *raftpb.Message) ([]byte, error) {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, from[:]...)
	dst = append(dst, to[:]...)
	dst, err := proto.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(dst[at:], record.CRC32C(dst[at+4:]))
	return dst, nil
}

// received is a message that has come.
type received struct {
	from, to wire.UUID // directories
	message  *raftpb.Message
}

// parseMessage reads a message and looks at all of it that this voter would otherwise trip over later.
func parseMessage(b []byte) (r received, err error) {
	if len(b) < messageHeader || record.CRC32C(b[4:]) != binary.BigEndian.Uint32(b) {
		return r, errors.New("quorum: a message whose checksum does not match")
	}
	r.from, r.to, r.message = wire.UUID(b[4:20]), wire.UUID(b[20:messageHeader]), &raftpb.Message{}
	if err := proto.Unmarshal(b[messageHeader:], r.message); err != nil {
		return r, fmt.Errorf("quorum: %w", err)
	}
	m := r.message
	switch m.GetType() {
	case raftpb.MsgApp:
		for i, e := range m.GetEntries() {
			if e == nil || e.GetType() != raftpb.EntryNormal || e.GetIndex() != m.GetIndex()+1+uint64(i) {
				return r, fmt.Errorf("quorum: a message whose entry %d is none that follows index %d", i, m.GetIndex())
			}
			if err := checkEntry(e.GetData()); err != nil {
				return r, fmt.Errorf("quorum: entry %d: %w", e.GetIndex(), err)
			}
		}
	case raftpb.MsgSnap:
		if _, err := decodeSnapshot(m.GetSnapshot().GetData()); err != nil {
			return r, fmt.Errorf("quorum: %w", err)
		}
	case raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp, raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp:
	default:
		return r, fmt.Errorf("quorum: a message of type %s, which voters do not send each other", m.GetType())
	}
	return r, nil
}

// checkEntry checks what an entry carries: nothing, or one batch.
func checkEntry(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	b, rest, err := record.Next(data)
	if err == nil {
		err = b.CheckHeader()
	}
	if err != nil {
		return err
	}
	kind, _, err := kindOf(b)
	if err == nil && (kind == noKey || kind == termEntry || len(rest) > 0) {
		err = errors.New("a batch that is no entry")
	}
	return err
}

// errReplaced is told of a voter whose disk was exchanged under it.
var errReplaced = errors.New("the disk of this node is not the one that its quorum knows")

// post sends a message to another voter.
func (v *voter) post(m *raftpb.Message) {
	to := nodeID(m.GetTo())
	directory, _ := v.disk.ballot.ballot.directory(to)
	b, err := appendMessage(nil, v.o.Dir.ID(), directory, m)
	if err != nil {
		v.o.Log.Error("a message of the metadata quorum has no encoding", "type", m.GetType().String(), "err", err)
		return
	}
	v.send(to, b)
}

// hello makes this voter known to another. It is a message of no term, which says nothing but who its sender is.
func (v *voter) hello(to int32) {
	v.post(&raftpb.Message{Type: raftpb.MsgHeartbeatResp.Enum(), From: new(v.id), To: new(raftID(to))})
}

// receive takes a message from another voter, if both are who they were: a voter with another directory comes without what it has promised.
// It must not be asked, and when it hears so it ends (T5).
func (v *voter) receive(r received) {
	defer v.caught()
	from := nodeID(r.message.GetFrom())
	if r.message.GetTo() != v.id || v.dead != nil || v.sole {
		return
	}
	if !r.to.IsZero() && r.to != v.o.Dir.ID() {
		v.die(fmt.Errorf("%w: node %d knows its directory as %s, and this is %s. What this voter has promised is lost, so it must not vote as the one it was",
			errReplaced, from, r.to, v.o.Dir.ID()))
		return
	}
	known, voter := v.disk.ballot.ballot.directory(from)
	switch {
	case !voter || from == v.o.NodeID:
		return
	case known.IsZero():
		if err := v.disk.ballot.save(v.disk.ballot.ballot.withDirectory(from, r.from)); err != nil {
			v.die(fmt.Errorf("ballot: %w", err))
			return
		}
	case known != r.from:
		if v.strangers[from] != r.from {
			v.strangers[from] = r.from
			v.o.Log.Error("a voter of the metadata quorum came back with another directory: what it has promised is lost, so it is not listened to",
				"voter", from, "directory", r.from.String(), "known", known.String())
			v.hello(from) // so that it hears
		}
		return
	}
	if r.to.IsZero() {
		v.hello(from)
	}
	if r.message.GetTerm() > 0 {
		v.step(r.message)
	}
}
