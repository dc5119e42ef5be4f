//go:build compat

package compat

import (
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	withItself    = flag.Bool("diff.self", false, "compare Kafka with Kafka: shows that the normalisation hides what differs by chance, and nothing is left")
	onlySpeak     = flag.String("diff.only", "", "hold only the conversations whose names match")
	showAnswers   = flag.Bool("diff.answers", false, "print every answer of Kafka, normalised")
	conversations = slices.Concat(apiConversations, topicConversations, replicaConversations, configConversations, recordConversations, groupConversations, rebalanceConversations, offsetConversations)
)

// talking is one conversation, a script: what a client says, in an order that does not leave the answers to chance.
type talking struct {
	name  string
	alone bool // it looks at, or changes, what belongs to the whole broker
	speak func(c *talk)
}

// alike is the configuration of both brokers.
var alike = []string{
	"auto.create.topics.enable=true",
	"group.initial.rebalance.delay.ms=1500",
	"num.partitions=2",
	"offsets.topic.num.partitions=4",
	"offset.metadata.max.bytes=100",
	"group.max.size=3",
	"group.min.session.timeout.ms=1000",
	"log.retention.ms=-1",
}

// TestDifferential holds the same conversations with Apache Kafka 4.4 and with the binary under test, and compares the answers
// field by field. diff_explained_test.go says which differences there may be.
func TestDifferential(t *testing.T) {
	budget(t, "differential", 100*time.Second)
	only := regexp.MustCompile(*onlySpeak)
	// Kafka is formatted without eligible leader replicas, which would set min.insync.replicas for the whole cluster.
	startAlike := func() *server {
		dir := t.TempDir()
		formatKafka(t, kafkaProperties(t, dir, alike...), "--feature", "eligible.leader.replicas.version=0")
		return startKafka(t, dir)
	}
	kafka := newSide(t, "kafka", startAlike())
	var other *side
	if *withItself {
		other = newSide(t, "kafka", startAlike())
	} else {
		other = newSide(t, "millrace", startAlikeMillrace(t, kafkaProperties(t, t.TempDir(), alike...)))
	}
	other.versions = kafka.versions
	warmUp := func(s *side) { hold(talking{name: "warm up", speak: func(c *talk) { c.awaitCoordinators() }}, s) }
	both(func() { warmUp(kafka) }, func() { warmUp(other) })

	results := make([][2]*talk, len(conversations))
	var together sync.WaitGroup
	few := make(chan struct{}, 6)
	for _, alone := range []bool{true, false} {
		for i, said := range conversations {
			if said.alone != alone || !only.MatchString(said.name) {
				continue
			}
			one := func() {
				both(func() { results[i][0] = hold(said, kafka) }, func() { results[i][1] = hold(said, other) })
			}
			if alone {
				one()
				continue
			}
			few <- struct{}{}
			together.Go(func() {
				defer func() { <-few }()
				one()
			})
		}
		together.Wait()
	}

	said := slices.Clone(conversations)
	if only.MatchString("restart") {
		said, results = append(said, talking{name: "restart"}), append(results, acrossARestart(kafka, other))
	}

	explained := explanations()
	answers := 0
	for i, said := range said {
		if results[i][0] == nil {
			continue
		}
		answers += len(results[i][0].exchanges)
		t.Logf("%s: %d answers, %v and %v", said.name, len(results[i][0].exchanges), results[i][0].took.Round(time.Millisecond), results[i][1].took.Round(time.Millisecond))
		t.Run(said.name, func(t *testing.T) {
			if *showAnswers {
				t.Log("\n" + results[i][0].String())
			}
			for _, d := range compare(results[i][0], results[i][1]) {
				if !explained.cover(said.name, d) {
					t.Errorf("%s\n  kafka:    %s\n  %-9s %s", d.at, d.kafka, other.name+":", d.other)
				}
			}
		})
	}
	t.Logf("%d answers compared", answers)
	if *onlySpeak == "" && !*withItself {
		for _, e := range explained {
			if e.matched == 0 {
				t.Errorf("an explanation that explains nothing: %s %s (%s)", e.in, e.at, e.why)
			}
		}
	}
}

func both(a, b func()) {
	var wg sync.WaitGroup
	wg.Go(a)
	wg.Go(b)
	wg.Wait()
}

// startAlikeMillrace starts the binary under test on a configuration of kafkaProperties.
func startAlikeMillrace(t *testing.T, config string) *server {
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, millrace, "server", "--config", config)
	s.addr = addressIn(string(text))
	s.await(30*time.Second, func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	s.restart = func() *server { s.stop(); return startAlikeMillrace(t, config) }
	return s
}

// acrossARestart holds a conversation that goes on after both brokers have been stopped and started again.
func acrossARestart(kafka, other *side) (c [2]*talk) {
	var s [2]stopped
	c = [2]*talk{newTalk("restart", kafka), newTalk("restart", other)}
	both(func() { c[0].hold(s[0].before) }, func() { c[1].hold(s[1].before) })
	kafka.server, other.server = kafka.server.restart(), other.server.restart()
	both(func() { c[0].hold(s[0].after) }, func() { c[1].hold(s[1].after) })
	return c
}

func newTalk(name string, s *side) *talk {
	c := &talk{side: s, name: name, ids: newNames(s), clients: map[string]*speaker{}}
	c.speaker = c.as("main")
	return c
}

func hold(said talking, s *side) *talk {
	c := newTalk(said.name, s)
	c.hold(said.speak)
	return c
}

// hold holds a conversation with one side. What goes wrong on the way is an answer like any other, and ends it.
func (c *talk) hold(speak func(*talk)) {
	defer func(began time.Time) {
		c.took += time.Since(began)
		for _, cl := range c.clients {
			cl.close()
		}
		if r := recover(); r != nil {
			e := &exchange{label: "the end"}
			if stopped, ok := r.(stop); ok {
				e.lines = []line{{"ended", string(stopped)}}
			} else {
				e.lines = []line{{"panic", fmt.Sprintf("%v\n%s", r, debug.Stack())}}
			}
			c.exchanges = append(c.exchanges, e)
		}
	}(time.Now())
	speak(c)
}

// difference is one field that the two sides answer differently.
type difference struct{ at, kafka, other string }

const nothing = "(nothing)" // in place of what only the other side has

func compare(a, b *talk) (all []difference) {
	for i := range max(len(a.exchanges), len(b.exchanges)) {
		if i >= len(a.exchanges) || i >= len(b.exchanges) || a.exchanges[i].label != b.exchanges[i].label {
			label := func(c *talk) string {
				if i < len(c.exchanges) {
					return c.exchanges[i].label + ": " + fmt.Sprint(c.exchanges[i].lines)
				}
				return nothing
			}
			return append(all, difference{"the conversations part", label(a), label(b)})
		}
		label := a.exchanges[i].label + ": "
		left, right := a.exchanges[i].byPath(), b.exchanges[i].byPath()
		if left["answer"] != right["answer"] { // one has none
			all = append(all, difference{label + "answer", a.exchanges[i].summary(""), b.exchanges[i].summary("")})
			continue
		}
		// An element that only one side has is one difference, not one for each of its fields.
		told := map[string]bool{}
		missing := func(e *exchange, path string, there map[string]string) (at, value string, fresh bool) {
			at = absent(path, there)
			fresh = !told[at]
			told[at] = true
			return at, e.summary(at), fresh
		}
		for _, l := range a.exchanges[i].lines {
			if got, ok := right[l.path]; !ok {
				if at, value, fresh := missing(a.exchanges[i], l.path, right); fresh {
					all = append(all, difference{label + at, value, nothing})
				}
			} else if got != l.value {
				all = append(all, difference{label + l.path, l.value, got})
			}
		}
		for _, l := range b.exchanges[i].lines {
			if _, ok := left[l.path]; !ok {
				if at, value, fresh := missing(b.exchanges[i], l.path, left); fresh {
					all = append(all, difference{label + at, nothing, value})
				}
			}
		}
	}
	return all
}

// absent is the largest element around a path that has no field in there; the path itself when it stands in none.
func absent(path string, there map[string]string) string {
	for end := 0; end < len(path); end++ {
		if path[end] != ']' || end+1 < len(path) && path[end+1] != '.' {
			continue
		}
		element := path[:end+1]
		found := false
		for p := range there {
			found = found || strings.HasPrefix(p, element)
		}
		if !found {
			return element
		}
	}
	return path
}

// summary is all fields at or below a path on one line.
func (e *exchange) summary(path string) string {
	var all []string
	for _, l := range e.lines {
		switch rest, ok := strings.CutPrefix(l.path, path); {
		case ok && rest == "":
			all = append(all, l.value)
		case ok:
			all = append(all, strings.TrimPrefix(rest, ".")+"="+l.value)
		}
	}
	return strings.Join(all, " ")
}

func (c *talk) String() string {
	var b strings.Builder
	for _, e := range c.exchanges {
		fmt.Fprintln(&b, e.label)
		for _, l := range e.lines {
			fmt.Fprintf(&b, "    %s = %s\n", l.path, l.value)
		}
	}
	return b.String()
}
