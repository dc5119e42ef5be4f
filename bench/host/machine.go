package host

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Machine is what all processors together did in a window.
type Machine struct {
	Elapsed time.Duration `json:"elapsed_ns"`
	Cores   int           `json:"cores"`

	User      time.Duration `json:"user_ns"` // of all processes
	System    time.Duration `json:"system_ns"`
	Interrupt time.Duration `json:"interrupt_ns"`      // hard and soft; depending on the kernel it is in the time of the process that was interrupted as well
	Kernel    time.Duration `json:"kernel_threads_ns"` // contained in System: write-back and the like, on behalf of whom nobody knows
	Steal     time.Duration `json:"steal_ns"`          // the hypervisor gave to others
	Idle      time.Duration `json:"idle_ns"`           // and waiting for the disk

	Stalled struct { // pressure stall information: at least one task waited
		CPU    time.Duration `json:"cpu_ns"`
		IO     time.Duration `json:"io_ns"`
		Memory time.Duration `json:"memory_ns"`
	} `json:"stalled"`
}

// Capacity is the processor time that the window had.
func (m *Machine) Capacity() time.Duration { return m.Elapsed * time.Duration(m.Cores) }

// readMachine is the totals since the machine was started.
func readMachine() Machine {
	var m Machine
	text, _ := os.ReadFile("/proc/stat")
	for l := range strings.Lines(string(text)) {
		f := strings.Fields(l)
		switch {
		case len(f) < 9 || !strings.HasPrefix(f[0], "cpu"):
		case f[0] == "cpu": // user nice system idle iowait irq softirq steal
			at := func(i int) time.Duration { return time.Duration(number(f[i])) * tick }
			m.User, m.System, m.Idle = at(1)+at(2), at(3), at(4)+at(5)
			m.Interrupt, m.Steal = at(6)+at(7), at(8)
		default:
			m.Cores++
		}
	}
	m.Stalled.CPU, m.Stalled.IO, m.Stalled.Memory = pressure("cpu"), pressure("io"), pressure("memory")
	return m
}

// since is the window between two totals, but for the kernel's threads.
func (m Machine) since(o Machine, elapsed time.Duration) Machine {
	m.Elapsed = elapsed
	m.User -= o.User
	m.System -= o.System
	m.Interrupt -= o.Interrupt
	m.Steal -= o.Steal
	m.Idle -= o.Idle
	m.Stalled.CPU -= o.Stalled.CPU
	m.Stalled.IO -= o.Stalled.IO
	m.Stalled.Memory -= o.Stalled.Memory
	return m
}

// kernelThreads are those of the kernel's own, and the CPU they have used. To find them every process is looked at, which takes
// milliseconds: not when a window begins.
func kernelThreads() map[int]time.Duration {
	all := map[int]time.Duration{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.kernel {
			if d, err := cpu(pid); err == nil {
				all[pid] = d
			}
		}
	}
	return all
}

// pressure is the total of the line "some"; 0 where the kernel does not tell.
func pressure(of string) time.Duration {
	text, err := os.ReadFile("/proc/pressure/" + of)
	if err != nil {
		return 0
	}
	some, _ := line(string(text), "some")
	_, total, _ := strings.Cut(some, "total=")
	return time.Duration(number(total)) * time.Microsecond
}
