//go:build compat

package compat

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// side is one of the two brokers.
type side struct {
	server     *server
	name, addr string
	host       string
	port       int32
	clusterID  string
	versions   map[int16][2]int16 // of each API, as Kafka advertises them
}

func newSide(t *testing.T, name string, s *server) *side {
	tcp, err := net.ResolveTCPAddr("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	one := &side{server: s, name: name, addr: s.addr, host: tcp.IP.String(), port: int32(tcp.Port), versions: map[int16][2]int16{}}
	hold(talking{name: "introduction", speak: func(c *talk) {
		for _, k := range c.quiet(4, apiVersions("compat", "1")).(*kmsg.ApiVersionsResponse).ApiKeys {
			one.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		if id := c.quiet(12, kmsg.NewPtrMetadataRequest()).(*kmsg.MetadataResponse).ClusterID; id != nil {
			one.clusterID = *id
		}
	}}, one)
	if len(one.versions) == 0 || one.clusterID == "" {
		t.Fatalf("%s at %s does not introduce itself", name, s.addr)
	}
	return one
}

// talk is a conversation with one side as it goes on. Its topics and groups have its name in front, so that others may go on too.
type talk struct {
	*speaker
	side      *side
	name      string
	ids       *names
	clients   map[string]*speaker
	exchanges []*exchange
	took      time.Duration
}

// exchange is one answer.
type exchange struct {
	label string
	lines []line
}

type line struct{ path, value string }

func (e *exchange) byPath() map[string]string {
	m := make(map[string]string, len(e.lines))
	for _, l := range e.lines {
		m[l.path] = l.value
	}
	return m
}

// stop ends a conversation that makes no sense any more.
type stop string

// speaker is one connection, opened again when it was closed. Its id is its name.
type speaker struct {
	talk        *talk
	id          string
	conn        net.Conn
	in          *bufio.Reader
	correlation int32
}

func (c *talk) as(id string) *speaker {
	if c.clients[id] == nil {
		c.clients[id] = &speaker{talk: c, id: id}
	}
	return c.clients[id]
}

func (cl *speaker) close() {
	if cl.conn != nil {
		_ = cl.conn.Close()
		cl.conn = nil
	}
}

// each calls f for every version of an API.
func (c *talk) each(key kmsg.Key, f func(v int16)) {
	r := c.side.versions[key.Int16()]
	for v := r[0]; v <= r[1]; v++ {
		f(v)
	}
}

// versions are the first, the last and the version in the middle of an API.
func (c *talk) some(key kmsg.Key) []int16 {
	r := c.side.versions[key.Int16()]
	if r[1]-r[0] < 2 {
		return []int16{r[0], r[1]}[:r[1]-r[0]+1]
	}
	return []int16{r[0], (r[0] + r[1]) / 2, r[1]}
}

const answerLimit = 20 * time.Second

// pending is a request whose answer may take its time.
type pending struct {
	speaker     *speaker
	exchange    *exchange // nil: not recorded
	req         kmsg.Request
	correlation int32
	err         error
}

// begin sends a request. Its answer has its place in the record from now on.
func (cl *speaker) begin(label string, version int16, req kmsg.Request) *pending {
	p := cl.send(version, req)
	p.exchange = &exchange{label: fmt.Sprintf("%03d %s v%d, %s", len(cl.talk.exchanges)+1, kmsg.NameForKey(req.Key()), version, label)}
	cl.talk.exchanges = append(cl.talk.exchanges, p.exchange)
	return p
}

func (cl *speaker) send(version int16, req kmsg.Request) *pending {
	req.SetVersion(version)
	if cl.conn == nil {
		conn, err := net.DialTimeout("tcp", cl.talk.side.addr, answerLimit)
		if err != nil {
			panic(stop(fmt.Sprintf("cannot connect: %v", err)))
		}
		cl.conn, cl.in = conn, bufio.NewReader(conn)
	}
	cl.correlation++
	p := &pending{speaker: cl, req: req, correlation: cl.correlation}
	_ = cl.conn.SetWriteDeadline(time.Now().Add(answerLimit))
	_, p.err = cl.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(cl.id)).AppendRequest(nil, req, p.correlation))
	return p
}

// wait reads the answer, writes it down, and returns it. In place of an answer that does not come there is an empty one.
func (p *pending) wait() kmsg.Response {
	resp, body, err := p.read()
	if err != nil {
		p.speaker.close()
		if p.exchange != nil {
			p.exchange.lines = []line{{"answer", reason(err)}}
		}
		return p.req.ResponseKind()
	}
	if p.exchange != nil {
		p.exchange.lines = p.speaker.talk.ids.flatten(resp)
		if n := len(body) - len(resp.AppendTo(nil)); n != 0 {
			p.exchange.lines = append(p.exchange.lines, line{"bytes that mean nothing", itoa(n)})
		}
	}
	return resp
}

func (p *pending) read() (kmsg.Response, []byte, error) {
	if p.err != nil {
		return nil, nil, p.err
	}
	cl := p.speaker
	_ = cl.conn.SetReadDeadline(time.Now().Add(answerLimit))
	var size [4]byte
	if _, err := io.ReadFull(cl.in, size[:]); err != nil {
		return nil, nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(cl.in, frame); err != nil {
		return nil, nil, err
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != p.correlation {
		return nil, nil, fmt.Errorf("the answer to request %d came for %d", got, p.correlation)
	}
	resp, body := p.req.ResponseKind(), frame[4:]
	if resp.IsFlexible() && p.req.Key() != kmsg.ApiVersions.Int16() {
		if body[0] != 0 {
			return nil, nil, errors.New("there are tags in the header")
		}
		body = body[1:]
	}
	if v, ok := resp.(*kmsg.ApiVersionsResponse); ok && len(body) > 2 && binary.BigEndian.Uint16(body) == 35 {
		v.Version = 0 // KIP-511
	}
	return resp, body, resp.ReadFrom(body)
}

func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "none"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(*net.OpError)):
		return "the connection was closed"
	}
	return err.Error()
}

// ask sends a request and writes its answer down.
func (cl *speaker) ask(label string, version int16, req kmsg.Request) kmsg.Response {
	return cl.begin(label, version, req).wait()
}

// quiet sends a request whose answer is not compared.
func (cl *speaker) quiet(version int16, req kmsg.Request) kmsg.Response {
	return cl.send(version, req).wait()
}

// answered is ask with the type that the caller knows.
func answered[R kmsg.Response](cl *speaker, label string, version int16, req kmsg.Request) R {
	return cl.ask(label, version, req).(R)
}

// until asks quietly until ready likes the answer: for what a broker does after it has answered.
func until[R kmsg.Response](cl *speaker, what string, version int16, req kmsg.Request, ready func(R) bool) R {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last kmsg.Response
	for deadline := time.Now().Add(answerLimit); time.Now().Before(deadline); <-tick.C {
		last = cl.quiet(version, req)
		if r := last.(R); ready(r) {
			return r
		}
	}
	panic(stop(fmt.Sprintf("%s did not come to be: %+v", what, reflect.ValueOf(last).Elem())))
}

// own is a name that belongs to this conversation.
func (c *talk) own(name string) string { return c.name + "." + name }

func ptr[T any](v T) *T { return &v }
