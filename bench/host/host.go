// Package host watches the machine while a benchmark runs: what a broker's processes use, what the machine is, and how much it
// was disturbed. It reads /proc and /sys only.
package host

import "time"

// Usage is what a process used in a window.
type Usage struct {
	Pid     int           `json:"pid"`
	Name    string        `json:"name"`
	Elapsed time.Duration `json:"elapsed_ns"`

	User    time.Duration            `json:"user_ns"`
	System  time.Duration            `json:"system_ns"`
	Threads map[string]time.Duration `json:"threads_ns,omitempty"` // CPU by the threads' names, numbers at their ends cut off

	Anon         int64 `json:"rss_anon"` // bytes, at the end of the window
	File         int64 `json:"rss_file"` // as above: mapped files, which the kernel takes back when it likes
	PeakAnon     int64 `json:"rss_anon_peak"`
	Voluntary    int64 `json:"voluntary_switches"`
	Involuntary  int64 `json:"involuntary_switches"`
	ReadBytes    int64 `json:"disk_read_bytes"`  // that went to the block layer
	WrittenBytes int64 `json:"disk_write_bytes"` // as above
	MinorFaults  int64 `json:"minor_faults"`
	MajorFaults  int64 `json:"major_faults"`
}

// Fingerprint is the machine.
type Fingerprint struct{}
