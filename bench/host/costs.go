package host

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Costs are prices of what a broker and a generator are made of, measured when the fingerprint is taken. 0: not measured.
type Costs struct {
	Timer     float64 `json:"timer_overshoot_p50_us"` // by which a sleeping thread with 1 ns of slack is late
	TimerP99  float64 `json:"timer_overshoot_p99_us"`
	Syscall   float64 `json:"syscall_ns"`
	PageTouch float64 `json:"page_touch_ns"` // the first touch of 4 KiB of anonymous memory
	Memcpy    float64 `json:"memcpy_gb_s"`   // 16 MiB, out of the caches of most
	Loopback  float64 `json:"loopback_rtt_us"`
	Sync      float64 `json:"fdatasync_p50_us"` // of 4 KiB appended to a file in the data directory
	SyncP99   float64 `json:"fdatasync_p99_us"`
}

// String is all of them in a line.
func (c Costs) String() string {
	return fmt.Sprintf("timer late by %.0f/%.0f us (p50/p99), system call %.0f ns, page touch %.0f ns, memcpy %.1f GB/s, loopback round trip %.0f us, fdatasync %.0f/%.0f us",
		c.Timer, c.TimerP99, c.Syscall, c.PageTouch, c.Memcpy, c.Loopback, c.Sync, c.SyncP99)
}

// budget is how long one price may take to find out: the whole stays well below a second on a slow machine, too.
const budget = 60 * time.Millisecond

// measure has a thread for itself. That lives on: a child that was started on it with a signal for its parent's death would die with
// it. What cannot be done here (a directory that cannot be written, say)
// stays 0.
func measure(dir string) Costs {
	var c Costs
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // its default
		c.Timer, c.TimerP99 = micros(repeat(200, sleeps))
		call, _ := micros(repeat(20, thousandCalls))
		c.Syscall = call // us of a thousand: ns of one
		c.PageTouch, c.Memcpy = memory()
		c.Loopback, _ = micros(loopback())
		c.Sync, c.SyncP99 = micros(syncs(dir))
	})
	done.Wait()
	return c
}

// repeat runs a measurement n times, or as often as the budget lets it.
func repeat(n int, once func() (time.Duration, bool)) []time.Duration {
	all := make([]time.Duration, 0, n)
	for begin := time.Now(); len(all) < n && time.Since(begin) < budget; {
		d, ok := once()
		if !ok {
			break
		}
		all = append(all, d)
	}
	return all
}

// micros is p50 and p99 in microseconds.
func micros(all []time.Duration) (p50, p99 float64) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return float64(all[len(all)/2]) / 1e3, float64(all[len(all)*99/100]) / 1e3
}

func sleeps() (time.Duration, bool) {
	due := monotonic() + 100*time.Microsecond
	at := unix.NsecToTimespec(int64(due))
	err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil)
	return monotonic() - due, err == nil
}

func thousandCalls() (time.Duration, bool) {
	begin := time.Now()
	for range 1000 {
		_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	return time.Since(begin), true
}

// memory touches 32 MiB of fresh pages, and copies one half over the other.
func memory() (touch, copied float64) {
	const size, page = 16 << 20, 4 << 10
	b, err := unix.Mmap(-1, 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, 0
	}
	defer func() { _ = unix.Munmap(b) }()
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE)
	begin := time.Now()
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	touch = float64(time.Since(begin)) / (2 * size / page)
	best, _ := micros(repeat(8, func() (time.Duration, bool) {
		begin := time.Now()
		copy(b[:size], b[size:])
		return time.Since(begin), true
	}))
	return touch, size / best / 1e3
}

// syncs appends to a file in the directory, which is gone afterwards.
func syncs(dir string) []time.Duration {
	f, err := os.CreateTemp(dir, ".millrace-bench-*")
	if err != nil {
		return nil
	}
	defer f.Close()
	defer os.Remove(f.Name())
	block := make([]byte, 4<<10)
	return repeat(100, func() (time.Duration, bool) {
		if _, err := f.Write(block); err != nil {
			return 0, false
		}
		begin := time.Now()
		err := unix.Fdatasync(int(f.Fd()))
		return time.Since(begin), err == nil
	})
}

// loopback sends 100 bytes back and forth between two threads with blocking sockets, so that Go's poller is not in it.
func loopback() []time.Duration {
	here, there, err := connected()
	if err != nil {
		return nil
	}
	defer unix.Close(here)
	var echo sync.WaitGroup
	echo.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer unix.Close(there)
		for buf := make([]byte, 100); ; {
			n, err := unix.Read(there, buf)
			if err != nil || n == 0 {
				return
			}
			if _, err = unix.Write(there, buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 100)
	all := repeat(500, func() (time.Duration, bool) {
		begin := time.Now()
		if _, err := unix.Write(here, buf); err != nil {
			return 0, false
		}
		n, err := unix.Read(here, buf)
		return time.Since(begin), err == nil && n == len(buf)
	})
	_ = unix.Shutdown(here, unix.SHUT_RDWR)
	echo.Wait()
	return all
}

// connected is a TCP connection of this machine with itself.
func connected() (here, there int, err error) {
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(listener)
	if err = unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = unix.Listen(listener, 1)
	}
	if err != nil {
		return 0, 0, err
	}
	at, err := unix.Getsockname(listener)
	if err != nil {
		return 0, 0, err
	}
	if here, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, err
	}
	if err = unix.Connect(here, at); err == nil {
		there, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		_ = unix.Close(here)
		return 0, 0, err
	}
	for _, s := range []int{here, there} {
		_ = unix.SetsockoptInt(s, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return here, there, nil
}
