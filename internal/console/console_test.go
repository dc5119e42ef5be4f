package console

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	var log logBuffer
	starting := listen(t, &log, Options{})
	expect := func(s *Server, path string, status int, words string) {
		t.Helper()
		if got, body := get(t, s, path); got != status || !strings.Contains(body, words) {
			t.Errorf("%s: %d %q, want %d and %q", path, got, body, status, words)
		}
	}
	expect(starting, "/livez", 200, "ok")
	expect(starting, "/readyz", 503, "starting")
	expect(starting, "/metrics", 503, "starting")

	s := show(t, Options{})
	expect(s.server, "/readyz", 200, "ok")
	expect(s.server, "/", 200, "/metrics")
	expect(s.server, "/debug/pprof/", 404, "")
	expect(s.server, "/nothing", 404, "")
	s.server.Stopping()
	expect(s.server, "/readyz", 503, "stopping")
	expect(s.server, "/livez", 200, "ok")
}

func TestProfilesOnlyWhenTold(t *testing.T) {
	var log logBuffer
	s := listen(t, &log, Options{Pprof: true})
	for path, want := range map[string]int{
		"/debug/pprof/":                      200,
		"/debug/pprof/goroutine?debug=1":     200,
		"/debug/pprof/profile?seconds=1":     200,
		"/debug/pprof/trace?seconds=0.01":    200,
		"/debug/pprof/profile?seconds=86400": 400,
		"/debug/pprof/trace?seconds=NaN":     400,
		"/debug/pprof/trace?seconds=-1":      400,
		"/debug/pprof/heap?seconds=words":    400,
	} {
		if status, body := get(t, s, path); status != want {
			t.Errorf("%s: %d %.80s", path, status, body)
		}
	}
}

// raw sends bytes and returns the status line of what comes back, "" when the connection is closed without a word.
func raw(t *testing.T, s *Server, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(c, request) }() // may be cut short
	line, err := bufio.NewReader(c).ReadString('\n')
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("%.40q: no answer", request)
	}
	return strings.TrimSpace(line)
}

func TestStrangers(t *testing.T) {
	s := show(t, Options{}).server
	for _, c := range []struct{ request, want string }{
		{"GET /livez HTTP/1.1\r\nHost: localhost:9644\r\n\r\n", "HTTP/1.1 200 OK"},
		{"GET /livez HTTP/1.1\r\nHost: [::1]:9644\r\n\r\n", "HTTP/1.1 200 OK"},
		{"GET /livez HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"},
		{"GET /livez HTTP/1.1\r\nHost: rebound.example:9644\r\n\r\n", "HTTP/1.1 421 Misdirected Request"},
		{"POST /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"},
		{"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nnever comes", "HTTP/1.1 400 Bad Request"},
		{"GET /metrics HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "HTTP/1.1 400 Bad Request"},
		{"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large"},
		{"\x00\x00\x00\x12\x00\x12\x00\x03\r\n\r\n", "HTTP/1.1 400 Bad Request"},
		{"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 307 Temporary Redirect"},
	} {
		if got := raw(t, s, c.request); got != c.want {
			t.Errorf("%.60q: %q, want %q", c.request, got, c.want)
		}
	}
	if status, _ := get(t, s, "/readyz"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// Who connects and says nothing takes one of so many places, and has it for the time that headers may take.
func TestConnectionsAreBounded(t *testing.T) {
	var log logBuffer
	s := listen(t, &log, Options{})
	var all []net.Conn
	for range maxConnections {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	one := all[0]
	_ = one.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(one, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(one).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err) // and the others have been accepted before: connections come in order
	}
	extra, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	_ = extra.SetDeadline(time.Now().Add(patience))
	if n, err := extra.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("one more was served: %d, %v", n, err)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("one more was neither served nor closed")
	}
	one.Close()
	for { // its place is free as soon as the server has seen that
		if status, err := http.Get(fmt.Sprintf("http://%s/livez", s.Addr())); err == nil {
			status.Body.Close()
			return
		}
	}
}

// blocked is a client that reads nothing until it is told to.
type blocked struct {
	header  http.Header
	writing chan struct{}
	go_     chan struct{}
	body    bytes.Buffer
}

func (b *blocked) Header() http.Header { return b.header }
func (b *blocked) WriteHeader(int)     {}
func (b *blocked) Write(p []byte) (int, error) {
	close(b.writing)
	<-b.go_
	return b.body.Write(p)
}

func TestSlowReaderHoldsNobodyUp(t *testing.T) {
	s := show(t, Options{})
	slow := &blocked{header: http.Header{}, writing: make(chan struct{}), go_: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := http.NewRequest(http.MethodGet, "/metrics", nil)
		s.server.metrics.serve(slow, r)
	}()
	<-slow.writing
	if got := s.scrape("/metrics")["kafka_brokers"]; got != 1 {
		t.Errorf("%v brokers", got)
	}
	close(slow.go_)
	<-done
	if got := samples(t, slow.body.String())["kafka_brokers"]; got != 1 {
		t.Errorf("the slow reader got %d bytes", slow.body.Len())
	}
}
