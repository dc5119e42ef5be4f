//go:build compat

package compat

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// startBroker starts the binary under test, unless a broker is named that runs already.
func startBroker(t *testing.T, settings ...string) string {
	if bootstrap != "" {
		warmUp(t)
		return bootstrap
	}
	return startMillrace(t, t.TempDir(), settings...).addr
}

// warmUp waits for the coordinator: the first group that asks makes Kafka create its topic, and some clients do not take "not yet" for an answer.
func warmUp(t *testing.T) {
	t.Helper()
	admin := kadm.NewClient(connect(t, bootstrap))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if got, err := admin.FetchOffsets(ctx, "warm-up"); err == nil && got.Error() == nil {
			return
		}
	}
	t.Fatal("the broker's group coordinator does not come up")
}

// fresh is a name that no run before has used: the broker may not be ours.
func fresh(t *testing.T, addr, what string, partitions int) string {
	t.Helper()
	name := what + time.Now().Format("-150405.000000")
	if partitions == 0 {
		return name
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	admin := kadm.NewClient(connect(t, addr))
	if _, err := admin.CreateTopic(ctx, int32(partitions), 1, nil, name); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	t.Cleanup(func() {
		if bootstrap != "" {
			_, _ = admin.DeleteTopics(context.Background(), name)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; { // Kafka answers before its brokers show the topic
		ends, err := admin.ListEndOffsets(ctx, name)
		if err == nil && ends.Error() == nil {
			return name
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not appear: %v, %v", name, err, ends.Error())
		}
	}
}

// together runs a sub-test for each program, some at a time.
func together(t *testing.T, f func(t *testing.T, p program)) bool {
	return t.Run("all", func(t *testing.T) {
		for _, p := range programs {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				f(t, p)
			})
		}
	})
}

// filled is a topic that one program has filled, a part by each codec.
type filled struct {
	by    program
	topic string
	sent  lines
}

func fillTopic(t *testing.T, addr string, p program, topic string, seed uint64, count int) filled {
	t.Helper()
	all := filled{by: p, topic: topic}
	for i, codec := range p.codecs {
		part := generate(p, seed, i*count/len(p.codecs), (i+1)*count/len(p.codecs))
		p.run(t, addr, "produce", "--topic", topic, "--in", part.file(t), "--codec", codec, "--idempotent", fmt.Sprint(p.idempotent && codec != "none"))
		all.sent = append(all.sent, part...)
	}
	return all
}

// TestProgramsMoveEveryRecord: each client fills a topic by every codec it has and reads it in a group, in three lives: it reads a part, commits and leaves;
// reads another part, commits, reads on and is killed; and reads the rest, from the last commit on. Then two others read the topic, in groups too.
func TestProgramsMoveEveryRecord(t *testing.T) {
	budget(t, "programs: every record", 150*time.Second)
	addr := startBroker(t)
	topics := make([]filled, len(programs))
	for i, p := range programs {
		topics[i].topic = fresh(t, addr, p.name, 3)
	}
	together(t, func(t *testing.T, p program) {
		i := slices.IndexFunc(programs, func(q program) bool { return q.name == p.name })
		topics[i] = fillTopic(t, addr, p, topics[i].topic, uint64(i), *records)
		threeLives(t, addr, p, topics[i])
	})
	together(t, func(t *testing.T, p program) {
		i := slices.IndexFunc(programs, func(q program) bool { return q.name == p.name })
		for j := 1; j <= 2; j++ {
			from := topics[(i+j*3)%len(topics)]
			if from.by.name == p.name || from.sent == nil {
				continue
			}
			group := fresh(t, addr, p.name+"-reads-"+from.by.name, 0)
			assignor := p.assignors[j%len(p.assignors)]
			read := p.run(t, addr, "consume", "--topic", from.topic, "--group", group, "--count", itoa(len(from.sent)), "--every", "2000", "--assignor", assignor)
			if err := from.sent.check(from.by, p, named(read, "record")); err != nil {
				t.Error(err)
			}
		}
	})
}

func threeLives(t *testing.T, addr string, p program, topic filled) {
	t.Helper()
	count := len(topic.sent)
	group := fresh(t, addr, p.name+"-lives", 0)
	life := func(count int, more ...string) *process {
		return p.start(t, addr, "consume", append([]string{"--topic", topic.topic, "--group", group, "--count", itoa(count), "--every", "1000", "--assignor", p.eager()}, more...)...)
	}
	members := map[string][]event{"the first": life(count * 3 / 10).wait()}
	left := count - len(named(members["the first"], "record"))
	if p.quiet {
		members["the second"] = life(count * 3 / 10).wait()
		left -= count * 3 / 10
	} else {
		second := life(count*3/10, "--stay", "true", "--instance", instance(p))
		second.until("reading on behind its last commit", func(es []event) bool { return len(named(es, "record")) > count*3/10+100 })
		second.kill()
		members["the second"], _ = second.events()
		left -= count * 3 / 10
	}
	members["the third"] = life(left, "--instance", instance(p)).wait()
	var read []event
	for _, events := range members {
		read = append(read, named(events, "record")...)
	}
	if err := topic.sent.check(topic.by, p, read); err != nil {
		t.Error(err)
	}
	if err := checkHandovers(p, members); err != nil {
		t.Error(err)
	}
	third := map[string]bool{} // by partition and offset: a busy machine may cost a member its session, and it reads again what it had not committed
	for _, e := range named(members["the third"], "record") {
		third[e.fields[0]+":"+e.fields[1]] = true
	}
	if len(third) != left {
		t.Errorf("the third read %d records, want %d", len(third), left)
	}
}

// instance is the name of a static member, which needs not wait until its session has ended when it comes back; none for clients without.
func instance(p program) string {
	if !p.static {
		return ""
	}
	return "seat-1"
}
