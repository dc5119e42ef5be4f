package host

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc: USER_HZ is 100 wherever Go runs on Linux.
const tick = 10 * time.Millisecond

// stat is what /proc/PID/stat says.
type stat struct {
	name         string
	dead         bool   // a zombie: it has ended and nobody has asked for its exit code
	kernel       bool   // a thread of the kernel's own
	started      string // ticks since boot: the same number at another time is another process
	user, system time.Duration
	minor, major int64
}

func readStat(pid int) (stat, error) {
	text, err := proc(pid, "stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

// parseStat takes the name from between the outer brackets: it may hold blanks and brackets itself.
func parseStat(text string) (stat, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("no name in %q", text)
	}
	f := strings.Fields(text[end+1:]) // f[0] is field 3 of proc(5)
	if len(f) < 20 {
		return stat{}, fmt.Errorf("only %d fields in %q", len(f), text)
	}
	const kernelThread = 0x00200000
	return stat{
		name:    text[open+1 : end],
		dead:    strings.Contains("ZXx", f[0]),
		kernel:  number(f[6])&kernelThread != 0,
		minor:   number(f[7]),
		major:   number(f[9]),
		user:    time.Duration(number(f[11])) * tick,
		system:  time.Duration(number(f[12])) * tick,
		started: f[19],
	}, nil
}

// cpu is the processor time of a process with all its threads, those that have ended too, in nanoseconds. The clock's number is
// made as clock_getcpuclockid(3) makes it.
func cpu(pid int) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// counters is a process at one moment.
type counters struct {
	stat
	at            time.Time // when cpu was read
	cpu           time.Duration
	anon, file    int64
	read, written int64
}

var errEnded = errors.New("the process has ended")

// readCounters reads all but the bytes of the disk, which not everybody may.
func readCounters(pid int) (counters, error) {
	var c counters
	var err error
	if c.stat, err = readStat(pid); err != nil {
		return c, gone(err)
	}
	if c.dead {
		return c, errEnded
	}
	if c.cpu, err = cpu(pid); err != nil {
		return c, errEnded
	}
	c.at = time.Now()
	status, err := proc(pid, "status")
	if err != nil {
		return c, gone(err)
	}
	anon, alive := line(status, "RssAnon:")
	if !alive {
		return c, errEnded // its memory is gone already
	}
	file, _ := line(status, "RssFile:")
	c.anon, c.file = number(anon)<<10, number(file)<<10
	return c, nil
}

func (c *counters) readDisk(pid int) error {
	io, err := proc(pid, "io")
	if err != nil {
		return gone(err)
	}
	read, _ := line(io, "read_bytes:")
	written, _ := line(io, "write_bytes:")
	c.read, c.written = number(read), number(written)
	return nil
}

// gone tells a process that has ended from one that may not be read.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return errEnded
	}
	return err
}
