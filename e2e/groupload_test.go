package e2e

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	groupFigures  = flag.Bool("group-figures", false, "take the figures of groups: CPU of the broker per commit and per heartbeat")
	groupPeer     = flag.String("group-peer", "", "PID@HOST:PORT of another broker that gets the same load, in turns with ours")
	groupCount    = flag.Int("group-count", 100, "groups of the load, each with one member and a connection of its own")
	groupRate     = flag.Int("group-rate", 10_000, "requests a second of all groups together")
	groupSeconds  = flag.Int("group-seconds", 10, "length of one turn")
	groupTurns    = flag.Int("group-turns", 3, "turns")
	groupParts    = flag.Int("group-partitions", 3, "partitions of one commit")
	groupSettings = flag.String("group-settings", "", "settings of our broker: key=value,key=value")
)

// TestGroupFigures prints what a commit and a heartbeat cost a broker, ours and, in the same run, another: `-group-figures`, and `-group-peer` for
// the other. The load is open: each request has a time at which it is due, and its latency counts from there. It asserts nothing about time.
func TestGroupFigures(t *testing.T) {
	if !*groupFigures {
		t.Skip("not asked for: -group-figures")
	}
	var settings []string
	if *groupSettings != "" {
		settings = strings.Split(*groupSettings, ",")
	}
	dir := t.TempDir()
	b := start(t, dir, 0, settings...)
	loads := []*groupLoad{newGroupLoad(t, "millrace", b.addr, b.pid())}
	if *groupPeer != "" {
		pid, addr, ok := strings.Cut(*groupPeer, "@")
		n, err := strconv.Atoi(pid)
		if !ok || err != nil {
			t.Fatalf("-group-peer %q: want PID@HOST:PORT", *groupPeer)
		}
		loads = append(loads, newGroupLoad(t, "peer", addr, n))
	}
	for _, l := range loads { // a JVM compiles what runs often: no figure before that
		l.run(l.commits, *groupSeconds/2+1)
		l.run(l.heartbeats, *groupSeconds/2+1)
	}
	for turn := range *groupTurns {
		for _, l := range loads {
			t.Logf("turn %d  %-9s %s", turn+1, l.name, l.run(l.commits, *groupSeconds))
			t.Logf("turn %d  %-9s %s", turn+1, l.name, l.run(l.heartbeats, *groupSeconds))
			t.Logf("turn %d  %-9s %s", turn+1, l.name, l.idle(3))
		}
	}
	b = figureGroupRestart(t, b, dir, true, settings)
	figureGroupRestart(t, b, dir, false, settings)
}

// groupLoad is a broker under load.
type groupLoad struct {
	t       *testing.T
	name    string
	addr    string
	pid     int
	members []*loadMember
	sent    int64 // offsets committed so far

	commits, heartbeats *loadKind
}

type loadKind struct{ name string }

// loadMember is the only member of its group.
type loadMember struct {
	conn      net.Conn
	commit    []byte // a frame, of which the correlation id and the offsets change
	offsetsAt []int
	heartbeat []byte
}

const loadMark = 0x1122334455667788 // stands where an offset has to be written

func newGroupLoad(t *testing.T, name, addr string, pid int) *groupLoad {
	l := &groupLoad{t: t, name: name, addr: addr, pid: pid, commits: &loadKind{"commit"}, heartbeats: &loadKind{"heartbeat"}}
	c := l.dial()
	defer c.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 5, 20_000
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "group-load", int32(*groupParts), 1
	create.Topics = append(create.Topics, topic)
	l.ask(c, create)
	for i := range *groupCount {
		l.members = append(l.members, l.member(fmt.Sprint("load-", i)))
	}
	return l
}

func (l *groupLoad) dial() net.Conn {
	c, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

// ask sends one request and waits for its answer.
func (l *groupLoad) ask(c net.Conn, req kmsg.Request) kmsg.Response {
	l.t.Helper()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	defer c.SetDeadline(time.Time{})
	if _, err := c.Write(frame(1, req)); err != nil {
		l.t.Fatal(err)
	}
	body, err := readFrame(c, nil)
	if err != nil {
		l.t.Fatalf("%T: %v", req, err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if body = body[4:]; resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		l.t.Fatalf("%T: %v", req, err)
	}
	return resp
}

// again asks until the coordinator is there.
func (l *groupLoad) again(c net.Conn, req kmsg.Request, code func(kmsg.Response) int16) (resp kmsg.Response) {
	l.t.Helper()
	if !poll(30*time.Second, func() bool {
		resp = l.ask(c, req)
		switch err := kerr.ErrorForCode(code(resp)); err {
		case kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RebalanceInProgress:
			return false
		case nil, kerr.MemberIDRequired:
			return true
		default:
			l.t.Fatalf("%T: %v", req, err)
			return false
		}
	}) {
		l.t.Fatalf("%T: no coordinator", req)
	}
	return resp
}

func (l *groupLoad) member(group string) *loadMember {
	m := &loadMember{conn: l.dial()}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, group
	l.again(m.conn, find, func(r kmsg.Response) int16 { return r.(*kmsg.FindCoordinatorResponse).ErrorCode })
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = 7, group, 300_000, 60_000, "consumer"
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	subscription := kmsg.NewConsumerMemberMetadata()
	subscription.Topics = []string{"group-load"}
	protocol.Metadata = subscription.AppendTo(nil)
	join.Protocols = append(join.Protocols, protocol)
	joined := func() *kmsg.JoinGroupResponse {
		return l.again(m.conn, join, func(r kmsg.Response) int16 { return r.(*kmsg.JoinGroupResponse).ErrorCode }).(*kmsg.JoinGroupResponse)
	}
	join.MemberID = joined().MemberID
	generation := joined().Generation
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, group, generation, join.MemberID
	assignment := kmsg.NewSyncGroupRequestGroupAssignment()
	assignment.MemberID = join.MemberID
	sync.GroupAssignment = append(sync.GroupAssignment, assignment)
	l.again(m.conn, sync, func(r kmsg.Response) int16 { return r.(*kmsg.SyncGroupResponse).ErrorCode })

	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation, commit.MemberID = 8, group, generation, join.MemberID
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "group-load"
	for p := range int32(*groupParts) {
		partition := kmsg.NewOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset, partition.Metadata = p, loadMark, kmsg.StringPtr("")
		topic.Partitions = append(topic.Partitions, partition)
	}
	commit.Topics = append(commit.Topics, topic)
	m.commit = frame(0, commit)
	mark := binary.BigEndian.AppendUint64(nil, loadMark)
	for at := 0; ; {
		i := bytes.Index(m.commit[at:], mark)
		if i < 0 {
			break
		}
		m.offsetsAt = append(m.offsetsAt, at+i)
		at += i + len(mark)
	}
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Version, heartbeat.Group, heartbeat.Generation, heartbeat.MemberID = 4, group, generation, join.MemberID
	m.heartbeat = frame(0, heartbeat)
	return m
}

func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	_, err := io.ReadFull(r, buf[:n])
	return buf[:n], err
}

// run sends one kind of request at the rate for so many seconds, and waits for all answers.
func (l *groupLoad) run(kind *loadKind, seconds int) string {
	total := *groupRate * seconds
	latency := make([]time.Duration, total)
	interval := time.Second / time.Duration(*groupRate)
	var readers sync.WaitGroup
	var failed atomic.Int64
	began := time.Now().Add(10 * time.Millisecond)
	for i, m := range l.members {
		readers.Go(func() {
			var buf []byte
			m.conn.SetReadDeadline(began.Add(time.Duration(seconds)*time.Second + 60*time.Second))
			for k := i; k < total; k += len(l.members) {
				body, err := readFrame(m.conn, buf)
				if err != nil {
					l.t.Errorf("%s: %v", l.name, err)
					return
				}
				buf = body
				at := int(binary.BigEndian.Uint32(body))
				latency[at] = time.Since(began.Add(time.Duration(at) * interval))
				if code := codeOf(kind == l.commits, body); code != 0 {
					failed.Add(1)
				}
			}
		})
	}
	before := cpu(l.t, l.pid)
	for k := 0; k < total; {
		if wait := time.Until(began.Add(time.Duration(k) * interval)); wait > 0 {
			time.Sleep(max(wait, time.Millisecond)) // the pace of the load, not a wait for something
		}
		for due := min(total, int(time.Since(began)/interval)+1); k < due; k++ {
			m := l.members[k%len(l.members)]
			f := m.heartbeat
			if kind == l.commits {
				f = m.commit
				l.sent++
				for _, at := range m.offsetsAt {
					binary.BigEndian.PutUint64(f[at:], uint64(l.sent))
				}
			}
			binary.BigEndian.PutUint32(f[8:], uint32(k)) // after size, key and version
			if _, err := m.conn.Write(f); err != nil {
				l.t.Fatalf("%s: %v", l.name, err)
			}
		}
	}
	readers.Wait()
	took := time.Since(began)
	used := cpu(l.t, l.pid) - before
	slices.Sort(latency)
	at := func(q float64) time.Duration { return latency[int(q*float64(total-1))].Round(10 * time.Microsecond) }
	s := fmt.Sprintf("%d %ss in %.2f s (%.0f/s), %d failed; broker CPU %.1f us each, %.2f cores; latency p50 %v p99 %v p99.9 %v max %v", total, kind.name,
		took.Seconds(), float64(total)/took.Seconds(), failed.Load(), float64(used.Microseconds())/float64(total), used.Seconds()/took.Seconds(), at(0.5), at(0.99),
		at(0.999), at(1))
	if failed.Load() > 0 {
		l.t.Errorf("%s: %s", l.name, s)
	}
	return s
}

// codeOf is the first error of an answer, behind correlation id and tags.
func codeOf(commit bool, body []byte) int16 {
	if !commit {
		return int16(binary.BigEndian.Uint16(body[9:])) // throttle time
	}
	resp := kmsg.OffsetCommitResponse{Version: 8}
	if resp.ReadFrom(body[5:]) != nil || len(resp.Topics) != 1 {
		return -1
	}
	for _, p := range resp.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			return p.ErrorCode
		}
	}
	return 0
}

// idle is what the groups cost while nobody says anything.
func (l *groupLoad) idle(seconds int) string {
	before := cpu(l.t, l.pid)
	time.Sleep(time.Duration(seconds) * time.Second)
	return fmt.Sprintf("idle: broker CPU %.2f %% of a core, RssAnon %d kB", 100*(cpu(l.t, l.pid)-before).Seconds()/float64(seconds), status(l.t, l.pid, "RssAnon"))
}

// figureGroupRestart is what a start costs with all that the load has left in the offsets topic.
func figureGroupRestart(t *testing.T, b *broker, dir string, clean bool, settings []string) *broker {
	if clean {
		b.stop()
	} else {
		b.kill()
	}
	bytes := 0
	logs, _ := filepath.Glob(filepath.Join(dir, "__consumer_offsets-*", "*.log"))
	for _, name := range logs {
		if info, err := os.Stat(name); err == nil {
			bytes += int(info.Size())
		}
	}
	began := time.Now()
	again := start(t, dir, b.port, settings...)
	ready := time.Since(began)
	firstProduce(t, again, "first")
	produced := time.Since(began)
	l := &groupLoad{t: t, name: "millrace", addr: again.addr, pid: again.pid()}
	list := kmsg.NewPtrListGroupsRequest()
	l.again(l.dial(), list, func(r kmsg.Response) int16 { return r.(*kmsg.ListGroupsResponse).ErrorCode })
	loaded := time.Since(began)
	t.Logf("restart (clean: %v), %d MB in %d logs of groups: ready %v, first acknowledged produce %v, all groups loaded %v, CPU %v, RssAnon %d kB", clean, bytes>>20,
		len(logs), ready, produced, loaded, cpu(t, again.pid()), status(t, again.pid(), "RssAnon"))
	return again
}
