package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Filesystem is where a directory lies.
type Filesystem struct {
	Path      string `json:"path"`
	Type      string `json:"type,omitempty"`
	Device    string `json:"device,omitempty"`
	Options   string `json:"options,omitempty"`       // of the mount and of the file system
	Journal   string `json:"journal,omitempty"`       // none, yes, or what goes through it: ordered, writeback, journal. A sync without one is far cheaper, and unlike what most servers have
	ReadAhead *int64 `json:"read_ahead_kb,omitempty"` // of the device
}

// String is the file system in a few words.
func (f Filesystem) String() string {
	switch s := or(f.Type, "an unknown file system"); f.Journal {
	case "":
		return s
	case "none":
		return s + " without a journal"
	case "yes":
		return s + " with a journal"
	default:
		return s + " with a journal (" + f.Journal + ")"
	}
}

func (f Filesystem) readAhead() string {
	if f.ReadAhead == nil {
		return "unknown"
	}
	return fmt.Sprintf("%d KiB", *f.ReadAhead)
}

func filesystem(dir string) Filesystem {
	f := Filesystem{Path: dir}
	if abs, err := filepath.Abs(dir); err == nil {
		f.Path = abs
	}
	if real, err := filepath.EvalSymlinks(f.Path); err == nil {
		f.Path = real
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	m, ok := mountOf(string(mounts), f.Path)
	if !ok {
		return f
	}
	f.Type, f.Device, f.Options = m.kind, m.device, m.options
	number, name := m.number, m.name()
	var st unix.Stat_t
	if unix.Stat(f.Path, &st) == nil { // btrfs and others have a number for each subvolume
		number = fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	}
	_, jbd2 := os.Stat("/proc/fs/jbd2")
	logs, _ := filepath.Glob("/proc/fs/jbd2/" + name + "-*")
	f.Journal = journal(m, setting("/proc/fs/ext4/"+name+"/options"), jbd2 == nil, len(logs) > 0)
	for _, path := range []string{"/sys/class/bdi/" + number, "/sys/class/bdi/" + m.number, "/sys/dev/block/" + m.number + "/queue", "/sys/dev/block/" + m.number + "/../queue"} {
		if kb, err := strconv.ParseInt(setting(path+"/read_ahead_kb"), 10, 64); err == nil {
			f.ReadAhead = &kb
			break
		}
	}
	return f
}

// mount is a line of /proc/self/mountinfo.
type mount struct{ number, kind, device, options string }

// name is what the kernel calls the device: a mount may call it /dev/root, or by the name of a volume.
func (m mount) name() string {
	if to, err := os.Readlink("/sys/dev/block/" + m.number); err == nil {
		return filepath.Base(to)
	}
	return filepath.Base(m.device)
}

// mountOf finds the innermost mount of a path; of several at one point the last is on top.
func mountOf(mountinfo, path string) (found mount, ok bool) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	longest := -1
	for l := range strings.Lines(mountinfo) {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
		left, right, split := strings.Cut(l, " - ")
		a, b := strings.Fields(left), strings.Fields(right)
		if !split || len(a) < 6 || len(b) < 2 {
			continue
		}
		point := unescape.Replace(a[4])
		inside := path == point || strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/")
		if inside && len(point) >= longest {
			longest, ok = len(point), true
			found = mount{number: a[2], kind: b[0], device: unescape.Replace(b[1]), options: a[5]}
			if len(b) > 2 {
				found.options = merged(a[5], b[2])
			}
		}
	}
	return found, ok
}

// merged is the union of two lists of options.
func merged(a, b string) string {
	all := strings.Split(a, ",")
	for _, o := range strings.Split(b, ",") {
		if !strings.Contains(","+a+",", ","+o+",") {
			all = append(all, o)
		}
	}
	return strings.Join(all, ",")
}

// journal finds out whether the file system has one. For ext4 the list of mounts does not tell: it leaves defaults out, and data=ordered is
// one. The kernel's own list of options has a data= exactly when there is a journal, and each journal has a folder in /proc/fs/jbd2.
func journal(m mount, options string, jbd2, log bool) string {
	switch m.kind {
	case "ext3", "ext4":
		for o := range strings.FieldsSeq(options) {
			if mode, ok := strings.CutPrefix(o, "data="); ok {
				return mode
			}
		}
		switch {
		case log:
			return "yes"
		case options != "" || jbd2:
			return "none"
		}
	case "xfs", "jfs", "reiserfs":
		return "yes"
	case "ext2", "tmpfs", "ramfs", "vfat", "exfat":
		return "none"
	}
	return "" // copy on write, or of another machine
}
