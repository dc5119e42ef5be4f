package bench

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// loop is one thread that waits for sockets and for the next due time at once: epoll and a timer of the kernel, so that two
// hundred producers are neither two hundred threads nor a goroutine switch per answer. time.Sleep is late by half a millisecond
// as a rule on a busy machine, and that would be billed to the broker.
type loop struct {
	clock  clock
	epoll  int
	timer  int
	armed  time.Duration // when the timer goes off; never: it does not
	events [64]unix.EpollEvent
	links  []*link // by the number their events carry

	span     span
	waited   time.Duration // spent waiting in the window
	opened   bool          // the window has begun, which was when the thread had used
	used     threadTime
	occupied time.Duration // worked or wanted to, once the window is over
}

// spin is how short a wait is not worth the timer.
const spin = 10 * time.Microsecond

// idle is the longest wait: whoever runs the loop looks around that often.
const idle = 50 * time.Millisecond

func newLoop(c clock) (*loop, error) {
	l := &loop{clock: c, armed: never}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		_ = unix.Close(l.epoll)
		return nil, fmt.Errorf("timerfd: %w", err)
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: -1}); err != nil {
		l.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return l, nil
}

// close closes the loop and its links.
func (l *loop) close() {
	for _, k := range l.links {
		_ = k.close()
	}
	_ = unix.Close(l.timer)
	_ = unix.Close(l.epoll)
}

// own makes the calling goroutine the loop's thread until disown. The thread lives on: a child that was started on it with a
// signal for its parent's death would die with it.
func (l *loop) own()    { runtime.LockOSThread() }
func (l *loop) disown() { runtime.UnlockOSThread() }

// busy is the share of the window in which the thread worked or wanted to.
func (l *loop) busy() float64 {
	length := (l.span.to - l.span.from).Seconds()
	return max(1-l.waited.Seconds()/length, l.occupied.Seconds()/length)
}

// look reads the thread's time when the window begins and when it is over.
func (l *loop) look(now time.Duration) {
	switch {
	case !l.opened && now >= l.span.from && now < l.span.to:
		l.used, l.opened = ownThread()
	case l.opened && l.occupied == 0 && now >= l.span.to:
		if used, ok := ownThread(); ok {
			l.occupied = min(used.since(l.used), now-l.span.from)
		}
	}
}

// add has the loop wait for a link.
func (l *loop) add(k *link) error {
	k.loop, k.number = l, len(l.links)
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, k.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(k.number)}); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	l.links = append(l.links, k)
	return nil
}

// want changes whether the loop also waits for room to write.
func (l *loop) want(k *link, write bool) {
	events := uint32(unix.EPOLLIN)
	if write {
		events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, k.fd, &unix.EpollEvent{Events: events, Fd: int32(k.number)}) // it is registered
}

// drop forgets a link, whose socket is closed.
func (l *loop) drop(k *link) { _ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, k.fd, nil) }

// wait returns at a moment of the clock, after idle, or when there is something to read or room to write, whichever is first.
func (l *loop) wait(until time.Duration) (ready []unix.EpollEvent, now time.Duration, err error) {
	before := l.clock.now()
	timeout := int(idle / time.Millisecond)
	switch left := until - before; {
	case left <= spin:
		timeout = 0
	case left < idle && until != l.armed:
		// Re-arming also takes back what has gone off and was not read.
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}
		if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
			return nil, before, fmt.Errorf("timerfd: %w", err)
		}
		l.armed = until
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], timeout)
	now = l.clock.now()
	l.waited += max(0, min(now, l.span.to)-max(before, l.span.from))
	l.look(now)
	if err != nil && err != unix.EINTR {
		return nil, now, fmt.Errorf("epoll: %w", err)
	}
	return l.events[:max(n, 0)], now, nil
}
