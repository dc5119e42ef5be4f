//go:build compat

package compat

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sessionTimeout is that of every reader: the shortest that Kafka grants by default.
const sessionTimeout = 6 * time.Second

// A reader is a member of a consumer group, in a process of its own that a test may kill. It prints what it is given and what it reads.
type reader struct {
	name  string
	cmd   *exec.Cmd
	gone  chan struct{} // closed when the process has ended and all it printed is taken in
	group *readers

	// Below the group's lock.
	told     bool // it has told of an assignment at least once
	assigned []int32
	read     map[int32][]row // in the order of reading
	anew     map[int32]bool  // an assignment has come since the partition's last record: a new row begins
	stderr   []string
}

// row is offsets that a member read one after the other, without a new assignment between them.
type row struct{ from, to int64 } // to is exclusive

func (r *reader) count(p int32) (n int64) {
	for _, x := range r.read[p] {
		n += x.to - x.from
	}
	return n
}

// give takes in what the member tells of its assignment.
func (r *reader) give(told bool, partitions []string) {
	r.told, r.assigned = told, nil
	for _, p := range partitions {
		r.assigned = append(r.assigned, int32(number(p)))
	}
	for p := range r.read {
		r.anew[p] = true
	}
}

// A way starts a reader of one client library.
type way func(t *testing.T, addr, group, topic string) []string

func javaWay(t *testing.T, addr, group, topic string) []string {
	return compatJava(t, "Reader", addr, group, topic)
}

func kcatWay(_ *testing.T, addr, group, topic string) []string {
	return []string{"kcat", "-b", addr, "-G", group, "-u", "-f", `record\t%p\t%o\t%k\t%s\n`, "-X", "auto.offset.reset=earliest",
		"-X", "session.timeout.ms=" + itoa(int(sessionTimeout.Milliseconds())), "-X", "heartbeat.interval.ms=500", "-X", "auto.commit.interval.ms=700", topic}
}

// kgoReader is franz-go's: this test binary itself, which TestMain turns into a reader where the variable is set.
const kgoReader = "MILLRACE_COMPAT_READER"

func kgoWay(t *testing.T, addr, group, topic string) []string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"env", kgoReader + "=" + strings.Join([]string{addr, group, topic}, " "), self}
}

// scan hands on whole lines: of the last one, a killed process may have written a part.
func scan(pipe io.Reader, f func(string)) {
	for lines := bufio.NewReaderSize(pipe, 1<<16); ; {
		s, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		f(strings.TrimSuffix(s, "\n"))
	}
}

func (r *reader) line(s string) {
	g := r.group
	g.mu.Lock()
	defer g.mu.Unlock()
	f := strings.SplitN(s, "\t", 4)
	switch {
	case f[0] == "assigned" && len(f) == 2:
		r.give(true, strings.Fields(f[1]))
	case f[0] == "record" && len(f) == 4:
		p, o := int32(number(f[1])), number(f[2])
		if n := len(r.read[p]); n > 0 && !r.anew[p] && r.read[p][n-1].to == o {
			r.read[p][n-1].to++
		} else {
			r.read[p] = append(r.read[p], row{o, o + 1})
			r.anew[p] = false
		}
		g.lines++
		if g.records[p] == nil {
			g.records[p] = map[int64]string{}
		}
		if before, ok := g.records[p][o]; ok && before != f[3] {
			g.differs = append(g.differs, fmt.Sprintf("%s-%d at %d: %q, then %q", g.topic, p, o, before, f[3]))
		}
		g.records[p][o] = f[3]
	default:
		r.stderr = append(r.stderr, "on stdout: "+s)
	}
}

// kcat tells of its assignments on stderr: "% Group g rebalanced (memberid m): assigned: orders [0], orders [2]", "... revoked: ...".
var kcatAssigned = regexp.MustCompile(`^% Group .* rebalanced .*: (assigned|revoked): ?(.*)$`)

func (r *reader) complaint(s string) {
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	m := kcatAssigned.FindStringSubmatch(s)
	if m == nil {
		r.stderr = append(r.stderr, s)
		return
	}
	var given []string
	if m[1] == "assigned" {
		for _, p := range regexp.MustCompile(`\[(\d+)\]`).FindAllStringSubmatch(m[2], -1) {
			given = append(given, p[1])
		}
	}
	r.give(m[1] == "assigned", given)
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// runReader is a reader of franz-go until SIGTERM. It prints what Reader.java prints.
func runReader(args string) error {
	f := strings.Fields(args)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex
	var owned []int32
	tell := func() {
		slices.Sort(owned)
		fmt.Fprintf(out, "assigned\t%s\n", strings.Trim(fmt.Sprint(owned), "[]"))
		_ = out.Flush()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(f[0]), kgo.ConsumerGroup(f[1]), kgo.ConsumeTopics(f[2]), kgo.Balancers(kgo.RangeBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			owned = append(owned, given[f[2]]...)
			tell()
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, cl *kgo.Client, taken map[string][]int32) {
			if err := cl.CommitUncommittedOffsets(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "commit at a rebalance:", err)
			}
			mu.Lock()
			defer mu.Unlock()
			owned = slices.DeleteFunc(owned, func(p int32) bool { return slices.Contains(taken[f[2]], p) })
		}))
	if err != nil {
		return err
	}
	for uncommitted := 0; ctx.Err() == nil; {
		fs := cl.PollRecords(ctx, 100)
		mu.Lock()
		fs.EachRecord(func(r *kgo.Record) {
			fmt.Fprintf(out, "record\t%d\t%d\t%s\t%s\n", r.Partition, r.Offset, r.Key, r.Value)
			uncommitted++
		})
		_ = out.Flush()
		mu.Unlock()
		if uncommitted >= 500 {
			if err := cl.CommitUncommittedOffsets(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, "commit:", err)
			}
			uncommitted = 0
		}
		cl.AllowRebalance()
	}
	err = cl.CommitUncommittedOffsets(context.Background())
	cl.CloseAllowingRebalance()
	return err
}
