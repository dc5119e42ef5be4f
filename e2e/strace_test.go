package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// call is one system call as strace -y wrote it down.
type call struct {
	name, args string
	result     int64
}

// file is the path or socket of the call's first argument, "" where it has none.
func (c call) file() string {
	_, rest, ok := strings.Cut(c.args, "<")
	if !ok {
		return ""
	}
	file, _, _ := strings.Cut(rest, ">")
	return file
}

var (
	traceLine  = regexp.MustCompile(`^\d+ +(\w+)\((.*)\) += (-?\d+)`)
	unfinished = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
)

// parseTrace reads strace's output; calls that were interrupted by another thread's line are put together again.
func parseTrace(t *testing.T, name string) []call {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []call
	pending := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if m := unfinished.FindStringSubmatch(line); m != nil {
			pending[m[1]] = m[3]
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseInt(m[4], 10, 64)
			calls = append(calls, call{m[2], pending[m[1]] + m[3], n})
		} else if m := traceLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseInt(m[3], 10, 64)
			calls = append(calls, call{m[1], m[2], n})
		}
	}
	return calls
}

func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: zero copy is not checked")
	}
}

// traced attaches strace to the broker, runs f, and returns the system calls of that time.
func traced(t *testing.T, b *broker, f func()) []call {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-s", "0", "-o", out, "-p", strconv.Itoa(b.pid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "attached") {
				select {
				case attached <- true:
				default:
				}
			}
		}
		close(attached)
	}()
	if !<-attached {
		_ = cmd.Wait()
		t.Skip("strace may not attach to a process here: zero copy is not checked")
	}
	f()
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	return parseTrace(t, out)
}

func create(t *testing.T, b *broker, topic string, partitions int32, config map[string]string) {
	t.Helper()
	values := map[string]*string{}
	for k, v := range config {
		values[k] = &v
	}
	if _, err := kadm.NewClient(b.client()).CreateTopic(within(t, 20*time.Second), partitions, 1, values, topic); err != nil {
		t.Fatal(err)
	}
}

// fill appends n records of size bytes to partition 0.
func fill(t *testing.T, b *broker, topic string, n, size int, batch int32) {
	t.Helper()
	cl := b.client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(batch), kgo.MaxBufferedBytes(32<<20))
	value := make([]byte, size)
	failed := make(chan error, 1)
	for range n {
		cl.Produce(t.Context(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(within(t, 2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		t.Fatalf("produce: %v", err)
	default:
	}
	cl.Close()
}

// fetcher asks for a partition with Fetch 12, by name and without a session, as librdkafka does.
type fetcher struct {
	t  *testing.T
	cl *kgo.Client
}

func (f fetcher) fetch(topic string, offset int64, minBytes, maxBytes int32, wait time.Duration) (*kmsg.FetchResponse, error) {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionEpoch, req.MinBytes, req.MaxBytes, req.MaxWaitMillis = 12, -1, minBytes, maxBytes, int32(wait.Milliseconds())
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = offset, maxBytes, -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.Partitions = topic, append(rt.Partitions, part)
	req.Topics = append(req.Topics, rt)
	resp, err := f.cl.Broker(1).Request(f.t.Context(), req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.FetchResponse), nil
}

// v12 holds Fetch back to version 12, the last that names topics by name.
func v12() kgo.Opt {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.Fetch), 12)
	return kgo.MaxVersions(v)
}

// A fetch of 1 MiB moves its payload by sendfile alone: nothing of the log is read into the process or
// written from it.
func TestFetchMovesPayloadOnlyBySendfile(t *testing.T) {
	needStrace(t)
	b := start(t, t.TempDir(), 0)
	create(t, b, "big", 1, nil)
	fill(t, b, "big", 4096, 1000, 900_000)
	f := fetcher{t, b.client(v12())}
	if _, err := f.fetch("big", 0, 1, 1<<20, time.Second); err != nil { // connected, open, warm
		t.Fatal(err)
	}
	var got int
	calls := traced(t, b, func() {
		resp, err := f.fetch("big", 0, 1, 1<<20, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		got = len(resp.Topics[0].Partitions[0].RecordBatches)
	})
	if got < 900_000 {
		t.Fatalf("the fetch returned only %d bytes", got)
	}
	var sent, written int64
	for _, c := range calls {
		switch {
		case c.result <= 0:
		case c.name == "sendfile":
			sent += c.result
		case strings.HasPrefix(c.name, "send"), strings.HasPrefix(c.name, "write"):
			written += c.result
		case (strings.HasPrefix(c.name, "read") || strings.HasPrefix(c.name, "pread")) && strings.HasSuffix(c.file(), ".log"):
			t.Errorf("%s read %d bytes of %s", c.name, c.result, c.file())
		}
	}
	t.Logf("one fetch of %d bytes: system calls %v", got, byName(calls))
	if sent != int64(got) {
		t.Errorf("sendfile moved %d of %d bytes", sent, got)
	}
	if written > 4096 {
		t.Errorf("%d bytes went through memory, want no more than the reply's headers", written)
	}
}

// Calls that wait, wake, talk to a client or belong to Go's runtime: what any server does, and none of them touches a file.
var network = map[string]bool{"epoll_pwait": true, "epoll_wait": true, "epoll_ctl": true, "read": true, "recvfrom": true, "sendmsg": true, "sendto": true, "writev": true,
	"write": true, "futex": true, "nanosleep": true, "sched_yield": true, "getpid": true, "tgkill": true, "rt_sigreturn": true, "restart_syscall": true,
	"rt_sigprocmask": true, "clock_nanosleep": true, "timer_settime": true, "ioctl": true}

// In os mode an append is one pwrite, beside the calls that bring the request and take the reply.
func TestAppendInOSModeIsOnePwrite(t *testing.T) {
	needStrace(t)
	b := start(t, t.TempDir(), 0)
	create(t, b, "quick", 1, map[string]string{"millrace.durability": "os"})
	fill(t, b, "quick", 10_000, 1000, 100_000) // the first steps of allocation are behind
	cl := b.client(kgo.DefaultProduceTopic("quick"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	one := func() {
		if err := cl.ProduceSync(within(t, 10*time.Second), &kgo.Record{Value: make([]byte, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	one()
	const requests = 200
	calls := traced(t, b, func() {
		for range requests + 1 { // when the last one is read, the trace has seen all before it to their end
			one()
		}
	})
	touched := map[string]int{}
	writes, replies := 0, 0
	for _, c := range calls {
		switch file := c.file(); {
		case c.name == "pwrite64" && strings.HasSuffix(file, ".log"):
			writes++
		case !network[c.name] || strings.HasPrefix(file, "/") && c.name != "epoll_ctl":
			touched[c.name+" "+filepath.Base(file)]++
		}
		if c.result > 0 && (strings.HasPrefix(c.name, "send") || strings.HasPrefix(c.name, "write")) && strings.HasPrefix(c.file(), "socket:") {
			replies++
		}
	}
	if replies < requests {
		t.Fatalf("the trace shows only %d replies to %d requests", replies, requests)
	}
	if writes < requests || writes > requests+1 || len(touched) > 0 {
		t.Errorf("%d appends wrote %d times, and made other system calls on files: %v", requests+1, writes, touched)
	}
	t.Logf("%d requests: system calls %v", requests, byName(calls))
}

// Parked fetches cost nothing while they wait: no poll, no tick, no thread that wakes up for it.
func TestIdleLongPollsWakeNothing(t *testing.T) {
	needStrace(t)
	b := start(t, t.TempDir(), 0)
	create(t, b, "quiet", 1, nil)
	fill(t, b, "quiet", 1, 10, 1000)
	const polls = 100
	var parked sync.WaitGroup
	clients := make([]*kgo.Client, polls)
	for i := range clients {
		clients[i] = b.client(v12())
		if _, err := (fetcher{t, clients[i]}).fetch("quiet", 0, 1, 1000, 0); err != nil {
			t.Fatal(err)
		}
	}
	baseline := traced(t, b, func() { <-time.After(3 * time.Second) })
	for _, cl := range clients {
		parked.Go(func() { _, _ = (fetcher{t, cl}).fetch("quiet", 1, 1, 1000, 30*time.Second) })
	}
	arrived := poll(10*time.Second, func() bool { return established(t, b.port, true) == 0 })
	if !arrived {
		t.Fatal("the broker did not read the requests")
	}
	waiting := traced(t, b, func() { <-time.After(3 * time.Second) })
	for _, cl := range clients {
		cl.Close()
	}
	parked.Wait()
	t.Logf("system calls in 3 s: idle %v, with %d parked fetches %v", byName(baseline), polls, byName(waiting))
	if idle, parked := wakes(baseline), wakes(waiting); parked > idle+polls/2 {
		t.Errorf("%d parked fetches cost %d system calls in 3 s, an idle broker %d", polls, parked, idle)
	}
}

// wakes counts the calls of a broker that does something; the Go runtime's own sleeps go on as long as anything in the process moves.
func wakes(calls []call) int {
	n := byName(calls)
	return len(calls) - n["nanosleep"] - n["futex"] - n["sched_yield"] - n["sched_getaffinity"] - n["getpid"] - n["tgkill"] - n["rt_sigreturn"]
}

func byName(calls []call) map[string]int {
	n := map[string]int{}
	for _, c := range calls {
		n[c.name]++
	}
	return n
}

// established counts the broker's connections that have unread bytes waiting (from /proc/net/tcp).
func established(t *testing.T, port int, unread bool) (n int) {
	t.Helper()
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf("0100007F:%04X", port)
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) < 5 || f[1] != local || f[3] != "01" {
			continue
		}
		if _, rx, _ := strings.Cut(f[4], ":"); !unread || rx != "00000000" {
			n++
		}
	}
	return n
}

// logBytes sums what a trace read of log files below dir.
func logBytes(calls []call, dir string) (sum int64, byFile map[string]int64) {
	byFile = map[string]int64{}
	for _, c := range calls {
		if c.result > 0 && (strings.HasPrefix(c.name, "read") || strings.HasPrefix(c.name, "pread")) && strings.HasPrefix(c.file(), dir) {
			byFile[c.file()] += c.result
			if strings.HasSuffix(c.file(), ".log") {
				sum += c.result
			}
		}
	}
	return sum, byFile
}

// Two promises about big logs, on one log of 1 GiB: a start after a clean stop reads <= 64 KiB per opened partition, and a look-up by
// timestamp reads <= 64 KiB of log. The pages are dropped from the cache first, so that reads through the mapping show as faults.
func TestBigLogIsOpenedAndSearchedWithoutReadingIt(t *testing.T) {
	needStrace(t)
	if testing.Short() {
		t.Skip("short: writes 1 GiB")
	}
	dir := t.TempDir()
	b := start(t, dir, 0)
	create(t, b, "old", 1, map[string]string{"millrace.durability": "os", "segment.bytes": "1073741824"})
	fill(t, b, "old", 66_000, 16_000, 900_000)
	middle := time.Now().UnixMilli()
	fill(t, b, "old", 1000, 1000, 10_000)
	b.stop()
	logs, _ := filepath.Glob(filepath.Join(dir, "old-0", "*.log"))
	for _, name := range logs {
		dropCache(t, name)
	}

	out := filepath.Join(t.TempDir(), "trace")
	b = startWith(t, []string{"strace", "-f", "-y", "-s", "0", "-o", out}, dir, 0)
	before := faults(t, b.pid())
	resp, err := kadm.NewClient(b.client()).ListOffsetsAfterMilli(within(t, 20*time.Second), middle, "old")
	if err != nil {
		t.Fatal(err)
	}
	after := faults(t, b.pid())
	if o, ok := resp.Lookup("old", 0); !ok || o.Err != nil || o.Offset < 66_000 || o.Offset > 66_500 {
		t.Fatalf("the look-up found %+v, want an offset at or just above 66000", o)
	}
	if err := syscall.Kill(b.pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-b.exited
	read, byFile := logBytes(parseTrace(t, out), filepath.Join(dir, "old-0"))
	t.Logf("read of the partition: %v; %d major faults during the look-up", byFile, after-before)
	var all int64
	for _, n := range byFile {
		all += n
	}
	if read > 64<<10 || all > 128<<10 {
		t.Errorf("opening and one look-up by timestamp read %d bytes of log and %d in all, want <= 64 KiB and <= 128 KiB", read, all)
	}
	if after-before > 16 { // what a mapping brings in shows as major faults
		t.Errorf("the look-up took %d major faults", after-before)
	}
}

// dropCache writes a file back and drops it from the page cache.
func dropCache(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	if _, _, e := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); e != 0 {
		t.Fatal(e)
	}
}

// faults is the number of major page faults of a process so far (field 12 of /proc/pid/stat).
func faults(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	n, _ := strconv.Atoi(f[9])
	return n
}
