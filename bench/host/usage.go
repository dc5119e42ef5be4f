package host

import "time"

// Usage is what a process used in a window.
type Usage struct {
	Pid     int           `json:"pid"`
	Name    string        `json:"name"`
	Elapsed time.Duration `json:"elapsed_ns"`

	User    time.Duration            `json:"user_ns"`              // User + System is exact; how it is split the kernel finds out by ticks
	System  time.Duration            `json:"system_ns"`            // as above
	Threads map[string]time.Duration `json:"threads_ns,omitempty"` // CPU by the threads' names, numbers at their ends cut off
	Busiest time.Duration            `json:"busiest_thread_ns"`    // of the one thread that used most

	Anon         int64 `json:"rss_anon"` // bytes, at the end of the window
	File         int64 `json:"rss_file"` // as above: mapped files, which the kernel takes back when it likes
	PeakAnon     int64 `json:"rss_anon_peak"`
	Voluntary    int64 `json:"voluntary_switches"`
	Involuntary  int64 `json:"involuntary_switches"`
	ReadBytes    int64 `json:"disk_read_bytes"`  // that went to the block layer
	WrittenBytes int64 `json:"disk_write_bytes"` // that were made dirty, to go there some time: a mapped page once for each write-back
	MinorFaults  int64 `json:"minor_faults"`
	MajorFaults  int64 `json:"major_faults"`

	Ended   bool     `json:"ended,omitempty"`   // in the window, or before: the figures are those of the last sample
	Missing []string `json:"missing,omitempty"` // what could not be measured, and why
}

// CPU is the processor time of the window.
func (u *Usage) CPU() time.Duration { return u.User + u.System }

// Cores is how many processors were busy with it, on average.
func (u *Usage) Cores() float64 {
	if u.Elapsed <= 0 {
		return 0
	}
	return float64(u.CPU()) / float64(u.Elapsed)
}

// ended is the name under which the CPU of threads stands that came and went unseen.
const ended = "(threads that ended)"
