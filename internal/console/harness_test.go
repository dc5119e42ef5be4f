package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/internal/config"
)

// patience bounds every wait of these tests; nothing waits for it when all is well.
const patience = 30 * time.Second

// logBuffer is a log to look into.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) count(s string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), s)
}

// shown is a broker and the server that shows it.
type shown struct {
	t      testing.TB
	node   *broker.Node
	server *Server
	log    logBuffer
	dir    string
}

func show(t testing.TB, o Options) *shown {
	t.Helper()
	s := &shown{t: t, dir: t.TempDir()}
	cfg, err := config.Load("", []string{"listeners=PLAINTEXT://127.0.0.1:0", "millrace.durability=os", "offsets.topic.num.partitions=2"})
	if err != nil {
		t.Fatal(err)
	}
	s.node, err = broker.Start(broker.Options{Config: cfg, DataDir: s.dir, Version: "test", Fatal: func(err error) { t.Errorf("the node gave up: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.node.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	s.server = listen(t, &s.log, o)
	s.server.Show(s.node.View())
	return s
}

func listen(t testing.TB, log io.Writer, o Options) *Server {
	t.Helper()
	o.Host, o.Loopback, o.Log = "127.0.0.1", true, slog.New(slog.NewTextHandler(log, nil))
	if o.Series == 0 {
		o.Series = 10_000
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *shown) client(o ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	cl, err := kgo.NewClient(append(o, kgo.SeedBrokers(s.node.Addrs()["PLAINTEXT"].String()))...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cl.Close)
	return cl
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (s *shown) create(topic string, partitions int32) {
	s.t.Helper()
	if _, err := kadm.NewClient(s.client()).CreateTopic(within(s.t), partitions, 1, nil, topic); err != nil {
		s.t.Fatal(err)
	}
}

// produce sends so many records and waits for them.
func (s *shown) produce(topic string, n int) {
	s.t.Helper()
	cl := s.client(kgo.DefaultProduceTopic(topic))
	for i := range n {
		cl.Produce(within(s.t), kgo.StringRecord(fmt.Sprint(i)), func(_ *kgo.Record, err error) {
			if err != nil {
				s.t.Error(err)
			}
		})
	}
	if err := cl.Flush(within(s.t)); err != nil {
		s.t.Fatal(err)
	}
}

// get asks for a path and returns the status and the body.
func get(t testing.TB, s *Server, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// samples are the series of an answer, as they are written there.
func samples(t testing.TB, body string) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, twice := m[line[:at]]; twice {
			t.Errorf("%s is there twice", line[:at])
		}
		m[line[:at]] = v
	}
	return m
}

func (s *shown) scrape(path string) map[string]float64 {
	s.t.Helper()
	status, body := get(s.t, s.server, path)
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, status, body)
	}
	return samples(s.t, body)
}
