package trial

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/bench"
)

const (
	startsWithin = 3 * time.Minute        // or does not start
	knocks       = 500 * time.Microsecond // between two tries to connect or to be given a leader: what the figure may be too long by
)

// firstAck starts a broker in a new directory and on a free port, and has it acknowledge one record of a topic that comes about by
// being asked for. The client is one plain connection, so that no library's own start is in the figure; the clock runs since before
// the process was made. The broker is killed and its directory removed.
func firstAck(ctx context.Context, command []string) (took time.Duration, durability string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	dir, err := os.MkdirTemp("", "millrace-start-")
	if err != nil {
		return 0, "", err
	}
	defer os.RemoveAll(dir)
	port, err := freePorts()
	if err != nil {
		return 0, "", err
	}
	args := make([]string, len(command))
	for i, a := range command {
		args[i] = strings.NewReplacer("{dir}", filepath.Join(dir, "data"), "{port}", strconv.Itoa(port)).Replace(a)
	}
	if i := slices.Index(args, "--"); i > 0 { // what has to be done before, such as formatting the directory
		if said, err := exec.CommandContext(ctx, args[0], args[1:i]...).CombinedOutput(); err != nil {
			return 0, "", fmt.Errorf("%s: %w: %s", strings.Join(args[:i], " "), err, said)
		}
		args = args[i+1:]
	}
	if len(args) == 0 {
		return 0, "", errors.New("the command to start it is empty")
	}
	log := &tail{}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with whatever it starts
	cmd.WaitDelay = time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed, or its last words say why
		close(exited)
	}()
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	}()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if err := produceOne(ctx, address, exited); err != nil {
		return 0, "", fmt.Errorf("%s: %w; its last words: %s", strings.Join(args, " "), err, log)
	}
	took = time.Since(began)
	durability, err = bench.Durability(ctx, bench.Options{Brokers: []string{address}, Topic: startTopic})
	return took, durability, err
}

const startTopic = "millrace-bench-start"

// freePorts finds a port that is free together with the next one, which some brokers want for themselves.
func freePorts() (int, error) {
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := first.Addr().(*net.TCPAddr).Port
		next, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		first.Close()
		if err == nil {
			next.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two free ports side by side")
}

// produceOne tries until a record is acknowledged, the broker has ended, or time is over.
func produceOne(ctx context.Context, address string, exited <-chan struct{}) error {
	tick := time.NewTicker(knocks)
	defer tick.Stop()
	var last error
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			if deadline, ok := ctx.Deadline(); ok {
				_ = conn.SetDeadline(deadline)
			}
			var retry bool
			for retry = true; retry; {
				if retry, err = tryOne(conn); err == nil {
					conn.Close()
					return nil
				}
				if retry {
					select {
					case <-tick.C:
					case <-ctx.Done():
						retry = false
					}
				}
			}
			conn.Close()
		}
		last = err
		select {
		case <-tick.C:
		case <-exited:
			return errors.New("it ended by itself")
		case <-ctx.Done():
			return fmt.Errorf("%w (%v)", ctx.Err(), last)
		}
	}
}

// tryOne asks for the topic and produces into it. retry: the connection is good, and the topic not there yet.
func tryOne(conn net.Conn) (retry bool, err error) {
	topic := startTopic
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Version, metadata.AllowAutoTopicCreation = 9, true
	metadata.Topics = append(metadata.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
	answer := kmsg.NewPtrMetadataResponse()
	if err := exchange(conn, metadata, answer); err != nil {
		return false, err
	}
	if len(answer.Topics) != 1 || answer.Topics[0].ErrorCode != 0 || len(answer.Topics[0].Partitions) == 0 || answer.Topics[0].Partitions[0].Leader < 0 {
		return true, errors.New("the topic has no leader yet")
	}
	batch := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, FirstTimestamp: time.Now().UnixMilli(), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1,
		Records: []byte{14, 0, 0, 0, 1, 2, 'x', 0}} // length, attributes, deltas, no key, a value of one byte, no headers
	batch.MaxTimestamp = batch.FirstTimestamp
	batch.Length = int32(len(batch.AppendTo(nil))) - 12
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	produce := kmsg.NewPtrProduceRequest()
	produce.Version, produce.Acks, produce.TimeoutMillis = 9, -1, int32(startsWithin/time.Millisecond)
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = raw
	of := kmsg.NewProduceRequestTopic()
	of.Topic, of.Partitions = topic, append(of.Partitions, part)
	produce.Topics = append(produce.Topics, of)
	acked := kmsg.NewPtrProduceResponse()
	if err := exchange(conn, produce, acked); err != nil {
		return false, err
	}
	if len(acked.Topics) != 1 || len(acked.Topics[0].Partitions) != 1 {
		return false, errors.New("the answer to Produce has no partition")
	}
	err = kerr.ErrorForCode(acked.Topics[0].Partitions[0].ErrorCode)
	return kerr.IsRetriable(err), err
}

// exchange sends a request of a flexible version and reads its answer.
func exchange(conn net.Conn, request kmsg.Request, answer kmsg.Response) error {
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("millrace-bench")).AppendRequest(nil, request, 1)
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 5 || n > 16<<20 {
		return fmt.Errorf("an answer of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return err
	}
	answer.SetVersion(request.GetVersion())
	return answer.ReadFrom(body[5:]) // correlation id and no tags
}

// tail keeps the end of what a process prints.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p)
	if over := t.b.Len() - 2000; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(t.b.String()); s != "" {
		return s
	}
	return "none"
}
