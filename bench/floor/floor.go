// Package floor is the least that a broker of Kafka's protocol can do on this machine, to hold brokers against: it reads produce
// requests off connections, checks each batch's CRC, brings it to fresh pages of a file, and answers, all from one epoll loop on one
// thread, with the replies of one wake-up in one send. It speaks enough else that a benchmark runs against it unchanged and
// verifies every record; it has no replication, no retention, no durability, no recovery, and one client's nonsense may cost others time.
//
// How a batch reaches its file, and how it leaves it again, are variants. A cell's floor is the best of them.
package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Variants are how to write, and how to send: "pwrite+sendfile" and so on.
//
//   - pwrite: read into a buffer, then pwrite to a file that grows.
//   - copy: read into a buffer, then copied into a mapping whose pages a thread of their own has touched before.
//   - direct: the records of a large batch are read from the socket straight into such a mapping; of a small one, as copy.
//   - sendfile: what is fetched goes from the file to the socket by sendfile.
//   - mapping: it goes by sendmsg from a mapping of the file.
var Variants = []string{
	"pwrite+sendfile", "copy+sendfile", "direct+sendfile",
	"pwrite+mapping", "copy+mapping", "direct+mapping",
}

// Options says how.
type Options struct {
	Variant string // one of Variants; default the first
	Dir     string // for the files, which are gone afterwards; default the directory for temporary files

	files int // bytes of a partition's file; default by the number of partitions. Tests make them small
}

// how is a variant, taken apart.
type how struct {
	mapped   bool // appends go through a mapping
	direct   bool
	sendfile bool
	files    int // as in Options
}

func (o Options) how() (how, error) {
	if o.Variant == "" {
		o.Variant = Variants[0]
	}
	for _, v := range Variants {
		if v == o.Variant {
			write, send, _ := strings.Cut(v, "+")
			return how{mapped: write != "pwrite", direct: write == "direct", sendfile: send == "sendfile", files: o.files}, nil
		}
	}
	return how{}, fmt.Errorf("no variant %q of the floor: there are %s", o.Variant, strings.Join(Variants, ", "))
}

// Serve answers the connections that come to the listener until the context ends, which is no error. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, o Options) error {
	defer listener.Close()
	h, err := o.how()
	if err != nil {
		return err
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("the floor listens on TCP, not on %s", listener.Addr().Network())
	}
	dir, err := os.MkdirTemp(o.Dir, "millrace-floor-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, err := tcp.File()
	if err != nil {
		return err
	}
	defer file.Close()
	l, err := newLoop(int(file.Fd()), tcp.Addr().(*net.TCPAddr), dir, h)
	if err != nil {
		return err
	}
	defer l.close()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		l.wake()
		close(ended)
	})
	runtime.LockOSThread()
	err = l.run(func() bool { return ctx.Err() != nil })
	runtime.UnlockOSThread()
	if !stop() {
		<-ended // it may be about to wake a loop that is being closed
	}
	return err
}

// errClosed ends a connection without more words.
var errClosed = errors.New("connection closed")

// try repeats a system call that a signal has interrupted: Go's own scheduler sends them.
func try(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
