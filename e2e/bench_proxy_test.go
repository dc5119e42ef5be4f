package e2e

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// meddler stands between clients and a broker that advertises the meddler's address. It does one thing to one request of Produce
// and passes everything else on as it is.
type meddler struct {
	port   int
	broker string // set before the first client comes
	fault  fault  // nil: none
	after  int64  // requests of Produce that are left alone at first

	produced atomic.Int64
	mu       sync.Mutex
	done     bool // the fault was done
}

// fault is done to the first request it fits. It may change the frame, which req has views of, and says what becomes of it.
type fault func(req *wire.ProduceRequest) fate

type fate int

const (
	unfit fate = iota // nothing was done: the next request may do
	passed
	swallowed // the broker never hears of it, the client has its acknowledgement
	repeated  // the broker has it twice
)

// answer is what goes back for one request, in the order of the requests.
type answer struct {
	made []byte // nil: the broker's next one
	drop bool   // that one is not for the client
}

func newMeddler(t *testing.T, f fault) *meddler {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &meddler{port: listener.Addr().(*net.TCPAddr).Port, fault: f, after: 50}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { m.serve(client, &serving) })
		}
	})
	return m
}

func (m *meddler) serve(client net.Conn, serving *sync.WaitGroup) {
	defer client.Close()
	upstream, err := net.Dial("tcp", m.broker)
	if err != nil {
		return
	}
	defer upstream.Close()
	answers := make(chan answer, 10_000)
	defer close(answers)
	serving.Go(func() {
		defer client.Close()
		defer upstream.Close()
		var frame []byte
		for a := range answers {
			out := a.made
			if out == nil {
				if frame, err = nextFrame(upstream, frame); err != nil {
					break
				}
				out = frame
			}
			if a.drop {
				continue
			}
			if _, err := client.Write(out); err != nil {
				break
			}
		}
		for range answers { // nobody wants them any more
		}
	})
	var frame []byte
	for {
		if frame, err = nextFrame(client, frame); err != nil {
			return
		}
		what, made := m.look(frame[4:])
		if what != swallowed {
			if _, err := upstream.Write(frame); err != nil {
				return
			}
		}
		answers <- answer{made: made}
		if what == repeated {
			if _, err := upstream.Write(frame); err != nil {
				return
			}
			answers <- answer{drop: true}
		}
	}
}

// nextFrame returns a frame with its size in front.
func nextFrame(r io.Reader, buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	buf = append(append(buf[:0], size[:]...), make([]byte, binary.BigEndian.Uint32(size[:]))...)
	_, err := io.ReadFull(r, buf[4:])
	return buf, err
}

// look does the fault when its time has come. For a request that is swallowed it makes the answer.
func (m *meddler) look(frame []byte) (what fate, made []byte) {
	header, body, err := wire.DecodeHeader(frame)
	if err != nil || header.Key != wire.KeyProduce || m.fault == nil || m.produced.Add(1) <= m.after {
		return passed, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var req wire.ProduceRequest
	if m.done || req.Decode(header.Version, body) != nil {
		return passed, nil
	}
	if what = m.fault(&req); what == unfit {
		return passed, nil
	}
	m.done = true
	if what == swallowed {
		made = acknowledge(header, &req)
	}
	return what, made
}

// meddled reports whether the fault was done.
func (m *meddler) meddled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}

func acknowledge(header wire.Header, req *wire.ProduceRequest) []byte {
	var response wire.ProduceResponse
	response.Default()
	for _, topic := range req.Topics {
		t := response.AddTopic()
		t.Name, t.TopicID = topic.Name, topic.TopicID
		for _, partition := range topic.Partitions {
			t.AddPartition().Index = partition.Index
		}
	}
	p := wire.AppendResponseHeader(make([]byte, 4), header.Key, header.Version, header.CorrelationID)
	p = response.Append(header.Version, p)
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

// batchOf is the request's only batch, with at least so many records.
func batchOf(req *wire.ProduceRequest, records int32) (record.Batch, bool) {
	if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 {
		return nil, false
	}
	b, rest, err := record.Next(req.Topics[0].Partitions[0].Records)
	return b, err == nil && len(rest) == 0 && b.Count() >= records && b.Codec() == record.None
}

// recordsOf has views of each record's key and value.
func recordsOf(b record.Batch) (records []record.Record) {
	it := record.NewIterator(b, record.Limits{})
	defer it.Close()
	for it.Next() {
		records = append(records, it.Record())
	}
	return records
}

// sum makes a batch whole again after a change: what is to be found is the change, not the checksum.
func sum(b record.Batch) { binary.BigEndian.PutUint32(b[17:], record.CRC32C(b[21:])) }
