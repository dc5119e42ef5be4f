package host

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"
)

// Fingerprint is the machine: what it is, how it is set up, and what the primitives cost of which a broker is made. What could
// not be found out is empty.
type Fingerprint struct {
	Kernel     string `json:"kernel"`
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     int64  `json:"memory_bytes"`
	Virtual    bool   `json:"virtual"`               // the processor says that a hypervisor is below
	Hypervisor string `json:"hypervisor,omitempty"`  // as the firmware calls itself
	Governor   string `json:"governor,omitempty"`    // of the processor's frequency
	Clock      string `json:"clocksource,omitempty"` // what is not tsc makes every look at the clock a system call
	HugePages  string `json:"transparent_huge_pages,omitempty"`
	Congestion string `json:"congestion_control,omitempty"`
	Somaxconn  int64  `json:"somaxconn,omitempty"`

	Data  Filesystem `json:"data"`
	Costs Costs      `json:"costs"`

	Go    string `json:"go"` // the generator's
	Procs int    `json:"gomaxprocs"`
}

// Read looks at the machine, and at the file system of a directory: the broker's data when it is known, else the working directory
// (""). It takes a quarter of a second.
func Read(dir string) Fingerprint {
	f := Fingerprint{
		Cores: runtime.NumCPU(), Go: runtime.Version(), Procs: runtime.GOMAXPROCS(0),
		Governor:   setting("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Clock:      setting("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		HugePages:  chosen(setting("/sys/kernel/mm/transparent_hugepage/enabled")),
		Congestion: setting("/proc/sys/net/ipv4/tcp_congestion_control"),
		Somaxconn:  number(setting("/proc/sys/net/core/somaxconn")),
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	}
	f.CPU, f.Virtual = processor(setting("/proc/cpuinfo"))
	if f.Virtual {
		f.Hypervisor = strings.TrimSpace(setting("/sys/class/dmi/id/sys_vendor") + " " + setting("/sys/class/dmi/id/product_name"))
		if f.Hypervisor == "" {
			f.Hypervisor = setting("/sys/hypervisor/type")
		}
	}
	total, _ := line(setting("/proc/meminfo"), "MemTotal:")
	f.Memory = number(total) << 10
	if dir == "" {
		dir = "."
	}
	f.Data = filesystem(dir)
	f.Costs = measure(dir)
	return f
}

// processor reads the first model's name of /proc/cpuinfo and the flag of a hypervisor. Arm's has no names.
func processor(cpuinfo string) (model string, virtual bool) {
	for l := range strings.Lines(cpuinfo) {
		label, value, _ := strings.Cut(l, ":")
		switch label = strings.TrimSpace(label); {
		case label == "model name" && model == "":
			model = strings.TrimSpace(value)
		case label == "flags":
			return model, strings.Contains(" "+strings.TrimSpace(value)+" ", " hypervisor ")
		}
	}
	return model, false
}

// setting reads a file of one line; "" when there is none.
func setting(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// chosen picks the word in brackets: "always [madvise] never".
func chosen(s string) string {
	_, s, _ = strings.Cut(s, "[")
	s, _, _ = strings.Cut(s, "]")
	return s
}

// String is the machine in a line.
func (f Fingerprint) String() string {
	kind := ""
	if f.Virtual {
		kind = " (virtual)"
	}
	return fmt.Sprintf("%d x %s%s, %.0f GiB, %s, data on %s, %s", f.Cores, or(f.CPU, "unknown processor"), kind, float64(f.Memory)/(1<<30), f.Kernel, f.Data, or(f.Congestion, "unknown congestion control"))
}

// Table is the machine for people, a line for each thing.
func (f Fingerprint) Table() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(what, format string, args ...any) { fmt.Fprintf(w, what+"\t"+format+"\n", args...) }
	below := "none seen"
	if f.Virtual {
		below = or(f.Hypervisor, "yes")
	}
	row("kernel", "%s", f.Kernel)
	row("processor", "%d x %s", f.Cores, or(f.CPU, "unknown"))
	row("hypervisor", "%s", below)
	row("memory", "%.1f GiB, transparent huge pages %s", float64(f.Memory)/(1<<30), or(f.HugePages, "unknown"))
	row("clock", "%s, frequency governor %s", or(f.Clock, "unknown"), or(f.Governor, "not visible"))
	row("network", "congestion control %s, somaxconn %d", or(f.Congestion, "unknown"), f.Somaxconn)
	row("data", "%s: %s, read-ahead %s", f.Data.Path, f.Data, f.Data.readAhead())
	row("mounted", "%s", or(f.Data.Options, "unknown"))
	row("costs", "%s", f.Costs)
	row("generator", "%s, GOMAXPROCS %d", f.Go, f.Procs)
	_ = w.Flush() // into memory
	return out.String()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
