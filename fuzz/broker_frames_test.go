package fuzz

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/internal/config"
)

// target is one broker for all inputs of the process: what one input leaves behind is there for the next.
var target struct {
	sync.Once
	addr string
	node *broker.Node
	dir  string
	err  error
}

func targetAddr(f *testing.F) string {
	target.Do(func() {
		if target.dir, target.err = os.MkdirTemp("", "millrace-fuzz-"); target.err != nil {
			return
		}
		var c *config.Config
		if c, target.err = config.Load("", []string{"listeners=PLAINTEXT://127.0.0.1:0"}); target.err != nil {
			return
		}
		if target.node, target.err = broker.Start(broker.Options{Config: c, DataDir: target.dir}); target.err == nil {
			target.addr = target.node.Addrs()["PLAINTEXT"].String()
		}
	})
	if target.err != nil {
		f.Fatal(target.err)
	}
	f.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := target.node.Shutdown(ctx); err != nil {
			f.Error(err)
		}
		if err := os.RemoveAll(target.dir); err != nil {
			f.Error(err)
		}
	})
	return target.addr
}

// FuzzBrokerFrame sends two frames on one connection: the broker answers or closes, and goes on serving others.
func FuzzBrokerFrame(f *testing.F) {
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	for _, key := range []int16{0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42, 43, 44, 45, 46, 47, 60, 64, 69, 75} {
		req := kmsg.RequestForKey(key)
		for _, version := range []int16{min(4, req.MaxVersion()), req.MaxVersion()} {
			req.SetVersion(version)
			f.Add(format.AppendRequest(nil, req, 1)[4:], []byte{})
		}
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.MaxBytes = 12, 1<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = "t"
	rt.Partitions = append(rt.Partitions, kmsg.NewFetchRequestTopicPartition())
	fetch.Topics = append(fetch.Topics, rt)
	first := format.AppendRequest(nil, fetch, 1)[4:]
	fetch.SessionID, fetch.SessionEpoch, fetch.Topics = 1, 1, nil
	f.Add(first, format.AppendRequest(nil, fetch, 2)[4:])

	addr := targetAddr(f)
	probe := format.AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), 77)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		var p []byte
		for _, frame := range [][]byte{a, b} {
			p = binary.BigEndian.AppendUint32(p, uint32(len(frame)))
			p = append(p, frame...)
		}
		if _, err := conn.Write(p); err == nil {
			conn.(*net.TCPConn).CloseWrite()
			// A long poll of the input's own making may take its time: what matters is that nothing breaks meanwhile.
			conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			io.Copy(io.Discard, conn)
		}
		other, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		other.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := other.Write(probe); err != nil {
			t.Fatal(err)
		}
		var head [8]byte
		if _, err := io.ReadFull(other, head[:]); err != nil {
			t.Fatal(errors.Join(errors.New("a neighbour was not answered"), err))
		}
		if got := binary.BigEndian.Uint32(head[4:]); got != 77 {
			t.Fatalf("a neighbour got the answer to request %d", got)
		}
	})
}
