package netio

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/internal/invariant"
	"github.com/millrace/millrace/internal/vfs"
)

// steady answers small requests with an echo and empty ones with a file.
func steady(f *file) funcs {
	return funcs{frame: func(_ *Conn, r *Reply) {
		if len(r.Frame) > 0 {
			r.Buf = append(r.Buf, r.Frame...)
		} else {
			r.Buf = append(r.Buf, "head"...)
			r.Insert(len(r.Buf), f.slice(0, len(f.bytes)))
			r.Buf = append(r.Buf, "tail"...)
		}
		r.Send()
	}}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if invariant.Enabled {
		t.Skip("the race detector allocates")
	}
	f := newFile(t, vfs.OS, t.TempDir(), 1<<20, true)
	slice := newFile(t, vfs.OS, t.TempDir(), inlineSlice, true)
	gathered := frameOf(make([]byte, 300<<10)) // more than one read: goes through a buffer of its own
	work := make(chan *Reply, 1)
	go func() {
		for r := range work {
			r.Buf = append(r.Buf, 'x')
			r.Send()
		}
	}()
	defer close(work)
	for _, tc := range []struct {
		name    string
		handler funcs
		request []byte
		reply   int
		allowed float64
	}{
		{"small", steady(f), frameOf([]byte("small")), 5, 0},
		{"sixteen small in one read", steady(f), []byte(strings.Repeat(string(frameOf([]byte("small"))), 16)), 16*9 - 4, 0},
		{"sendfile", steady(f), frameOf(nil), 1<<20 + 8, 0},
		{"small slice", steady(slice), frameOf(nil), inlineSlice + 8, 0},
		{"gathered and kept", funcs{frame: func(_ *Conn, r *Reply) { r.Keep(); r.Buf = append(r.Buf, 'x'); r.Send() }}, gathered, 1, 0},
		// A wake-up of a loop costs what gnet's Execute allocates, whatever the number of replies it serves.
		{"from another goroutine", funcs{frame: func(_ *Conn, r *Reply) { r.Keep(); work <- r }}, frameOf([]byte("kept")), 1, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := serve(t, tc.handler, nil)
			c := dial(t, s)
			reply := make([]byte, 4+tc.reply)
			once := func() {
				if _, err := c.Write(tc.request); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, reply); err != nil {
					t.Fatal(err)
				}
			}
			for range 50 {
				once()
			}
			const n = 300
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range n {
				once()
			}
			runtime.ReadMemStats(&after)
			per := float64(after.Mallocs-before.Mallocs) / n
			if per > tc.allowed+0.1 { // the sweep and the runtime's own work allocate now and then
				t.Errorf("%.2f allocations for each request", per)
			}
		})
	}
}

// Benchmarks measure the CPU of the server alone: it is a child process.
func TestMain(m *testing.M) {
	if os.Getenv("NETIO_CHILD") == "bench" {
		benchChild()
		return
	}
	os.Exit(m.Run())
}

func benchChild() {
	dir, err := os.MkdirTemp("", "netio")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	size, _ := strconv.Atoi(os.Getenv("NETIO_SLICE"))
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		panic(err)
	}
	vf, err := vfs.OS.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	m, err := vf.Map(int64(size), vfs.MapOptions{})
	if err != nil {
		panic(err)
	}
	f := &file{pin: vfs.NewPin(vf, m, nil), bytes: m.Bytes()}
	h := steady(f)
	h.opened = func(c *Conn) {
		// The control of congestion decides more than the server here; cubic is the kernel's usual one.
		_ = unix.SetsockoptString(c.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	}
	s, err := Listen(Options{Listeners: []Listener{{Name: "test", Host: "127.0.0.1"}}}, h)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Addr("test"))
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent has had enough
	_ = s.Close()
}

// benchServer starts the child and returns its address and a func that tells its CPU time.
func benchServer(b *testing.B, slice int) (string, func() time.Duration) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NETIO_CHILD=bench", fmt.Sprintf("NETIO_SLICE=%d", slice))
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	tasks := fmt.Sprintf("/proc/%d/task/", cmd.Process.Pid)
	return strings.TrimSpace(addr), func() time.Duration {
		list, err := os.ReadDir(tasks)
		if err != nil {
			b.Fatal(err)
		}
		var sum time.Duration
		for _, e := range list {
			p, err := os.ReadFile(tasks + e.Name() + "/schedstat")
			if err != nil {
				continue // it has ended
			}
			ns, _ := strconv.ParseInt(strings.Fields(string(p))[0], 10, 64)
			sum += time.Duration(ns)
		}
		return sum
	}
}

// bench sends b.N requests over some connections, depth at a time on each.
func bench(b *testing.B, conns, depth, slice int, request []byte, reply int) {
	addr, cpu := benchServer(b, slice)
	batch := []byte(strings.Repeat(string(frameOf(request)), depth))
	var all []net.Conn
	for range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	run := func(n int) {
		var wait sync.WaitGroup
		for _, c := range all {
			wait.Go(func() {
				buf := make([]byte, min(depth*(reply+4), 1<<20+4096))
				for done := 0; done < n/conns; done += depth {
					if _, err := c.Write(batch); err != nil {
						b.Error(err)
						return
					}
					for left := depth * (reply + 4); left > 0; {
						m, err := c.Read(buf[:min(left, len(buf))])
						if err != nil {
							b.Error(err)
							return
						}
						left -= m
					}
				}
			})
		}
		wait.Wait()
	}
	run(conns * depth)
	b.SetBytes(int64(reply))
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	run(b.N)
	b.StopTimer()
	used := cpu() - before
	n := max(b.N/conns/depth, 1) * conns * depth
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(n), "server-us/op")
	if reply > 1<<16 {
		b.ReportMetric(used.Seconds()/(float64(n)*float64(reply)/1e9), "server-s/GB")
	}
}

func BenchmarkEcho(b *testing.B) {
	for _, tc := range []struct{ conns, depth int }{{1, 1}, {8, 5}, {8, 64}} {
		b.Run(fmt.Sprintf("conns=%d/depth=%d", tc.conns, tc.depth), func(b *testing.B) {
			bench(b, tc.conns, tc.depth, 1, make([]byte, 200), 200)
		})
	}
}

func BenchmarkSlice(b *testing.B) {
	for _, tc := range []struct{ conns, depth, size int }{{4, 16, 16 << 10}, {2, 1, 64 << 10}, {2, 1, 1 << 20}, {1, 1, 1 << 20}} {
		b.Run(fmt.Sprintf("size=%d/conns=%d/depth=%d", tc.size, tc.conns, tc.depth), func(b *testing.B) {
			bench(b, tc.conns, tc.depth, tc.size, nil, tc.size+8)
		})
	}
}
