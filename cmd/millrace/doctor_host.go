package main

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// examineHost looks at this machine as a place for a broker; pid is that of one that runs here, or 0.
func examineHost(pid int, dirs []string) []check {
	checks := []check{openFiles(pid), mapCount(pid), hugePages(readText("/sys/kernel/mm/transparent_hugepage/enabled")),
		swappiness(readText("/proc/sys/vm/swappiness"), readText("/proc/swaps")), clockState()}
	for _, dir := range dirs {
		checks = append(checks, dataDir(dir)...)
	}
	return checks
}

// readText returns a file's text without the end of its line; empty when it cannot be read.
func readText(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// openFiles looks at the limit of the running broker, else at that a broker started from here would get.
func openFiles(pid int) check {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return check{"open files", unknown, err.Error(), ""}
	}
	found := fmt.Sprintf("a broker started from here may have %s", limitText(limit.Max))
	if n, ok := openFilesOf(readText(fmt.Sprintf("/proc/%d/limits", pid))); ok {
		limit.Max, found = n, fmt.Sprintf("the broker (pid %d) may have %s", pid, limitText(n))
		if used, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
			found += fmt.Sprintf(" and has %d", len(used))
		}
	}
	return openFilesCheck(limit.Max, found)
}

func limitText(n uint64) string {
	if n >= math.MaxInt64 {
		return "any number"
	}
	return strconv.FormatUint(n, 10)
}

// openFilesOf reads /proc/PID/limits: the second number is the soft limit, which is what counts for a process that runs; Go programs
// raise it to the hard one when they start.
func openFilesOf(text string) (uint64, bool) {
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		rest, ok := strings.CutPrefix(lines.Text(), "Max open files")
		if fields := strings.Fields(rest); ok && len(fields) > 0 {
			if fields[0] == "unlimited" {
				return math.MaxUint64, true
			}
			n, err := strconv.ParseUint(fields[0], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// openFilesCheck: a connection takes one, a segment three.
func openFilesCheck(limit uint64, found string) check {
	const fix = "ulimit -n 800000, or LimitNOFILE=800000 in the systemd unit"
	switch {
	case limit < 4096:
		return check{"open files", broken, found + ", too few for its segments and connections", fix}
	case limit < 65536:
		return check{"open files", doubtful, found + ", enough for a few thousand partitions and connections", fix}
	}
	return check{"open files", healthy, found, ""}
}

// mapCount looks at how many memory mappings a process may have: each segment takes up to three.
func mapCount(pid int) check {
	used := 0
	if maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); pid != 0 && err == nil {
		used = strings.Count(string(maps), "\n")
	}
	return mapCountCheck(readText("/proc/sys/vm/max_map_count"), used)
}

func mapCountCheck(text string, used int) check {
	limit, err := strconv.Atoi(text)
	if err != nil {
		return check{"vm.max_map_count", unknown, "cannot be read", ""}
	}
	found := text
	if used > 0 {
		found = fmt.Sprintf("%d, the broker uses %d", limit, used)
	}
	const fix = "sysctl -w vm.max_map_count=1048576, and the same line in /etc/sysctl.d/"
	switch {
	case used > limit*9/10:
		return check{"vm.max_map_count", broken, found + ": it will soon not be able to open segments", fix}
	case limit < 262144:
		return check{"vm.max_map_count", doubtful, fmt.Sprintf("%s: enough for some %s segments", found, thousands(int64(limit/3))), fix}
	}
	return check{"vm.max_map_count", healthy, found, ""}
}

// hugePages reads "always [madvise] never".
func hugePages(text string) check {
	_, rest, _ := strings.Cut(text, "[")
	switch mode, _, _ := strings.Cut(rest, "]"); mode {
	case "":
		return check{"huge pages", unknown, "this kernel has no transparent huge pages, or does not say", ""}
	case "always":
		return check{"huge pages", doubtful, "always: the kernel stops processes to make huge pages, which shows as slow outliers",
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"}
	default:
		return check{"huge pages", healthy, mode, ""}
	}
}

// swappiness matters only where there is swap; /proc/swaps has a heading.
func swappiness(text, swaps string) check {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return check{"vm.swappiness", unknown, "cannot be read", ""}
	case strings.Count(swaps, "\n") == 0:
		return check{"vm.swappiness", healthy, "there is no swap", ""}
	case n > 10:
		return check{"vm.swappiness", doubtful, fmt.Sprintf("%d: the kernel swaps the broker's memory out to keep more files in memory", n), "sysctl -w vm.swappiness=1, and the same line in /etc/sysctl.d/"}
	}
	return check{"vm.swappiness", healthy, text, ""}
}

// clockState asks the kernel whether something keeps its clock right.
func clockState() check {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return check{"clock", unknown, "the kernel does not say whether it is synchronised: " + err.Error(), ""}
	}
	return clockCheck(state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0)
}

func clockCheck(unsynchronised bool) check {
	if unsynchronised {
		return check{"clock", doubtful, "nothing keeps it right: retention and time-outs go by it", "run chrony, ntpd or systemd-timesyncd"}
	}
	return check{"clock", healthy, "synchronised", ""}
}

// dataDir looks at a directory, or at where it would be made.
func dataDir(dir string) []check {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return []check{{"data directory", broken, err.Error(), ""}}
	}
	there := absolute
	for {
		info, err := os.Stat(there)
		if err == nil && !info.IsDir() {
			return []check{{"data directory", broken, there + " is a file", "name a directory with --data-dir"}}
		}
		if err == nil {
			break
		}
		parent := filepath.Dir(there)
		if !errors.Is(err, os.ErrNotExist) || parent == there {
			return []check{{"data directory", broken, err.Error(), "let the broker's user read it"}}
		}
		there = parent
	}
	found := absolute
	if there != absolute {
		found += " (not there yet)"
	}
	if err := unix.Access(there, unix.W_OK|unix.X_OK); err != nil {
		return []check{{"data directory", broken, found + " cannot be written by this user", "chown or chmod it, or run doctor as the broker's user"}}
	}
	var s unix.Statfs_t
	if err := unix.Statfs(there, &s); err != nil {
		return []check{{"data directory", unknown, found + ": " + err.Error(), ""}}
	}
	return []check{
		{"data directory", healthy, found, ""},
		fileSystemCheck(int64(s.Type)),
		freeSpace(s.Blocks*uint64(s.Bsize), s.Bavail*uint64(s.Bsize)),
		freeFiles(s.Files, s.Ffree),
	}
}

// fileSystemCheck judges by the magic number that statfs tells.
func fileSystemCheck(magic int64) check {
	switch uint32(magic) {
	case unix.EXT4_SUPER_MAGIC:
		return check{"file system", healthy, "ext4", ""}
	case unix.XFS_SUPER_MAGIC:
		return check{"file system", healthy, "xfs", ""}
	case unix.BTRFS_SUPER_MAGIC:
		return check{"file system", doubtful, "btrfs: copy on write makes a log's writes scattered", "chattr +C on the directory while it is empty, or use ext4 or xfs"}
	case 0x2fc12fc1:
		return check{"file system", healthy, "zfs", ""}
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return check{"file system", doubtful, "tmpfs: everything is lost at a restart of the machine", "use a disk with ext4 or xfs, unless that is meant"}
	case unix.OVERLAYFS_SUPER_MAGIC:
		return check{"file system", doubtful, "overlay: a container's own layer, gone with the container", "mount a volume there"}
	case unix.NFS_SUPER_MAGIC, 0xff534d42 /* cifs */, 0xfe534d42 /* smb2 */, unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC:
		return check{"file system", doubtful, "a network or user-space file system: fsync and memory maps may not keep what they promise", "use a local disk with ext4 or xfs"}
	}
	return check{"file system", unknown, fmt.Sprintf("not one that is known here (%#x)", uint32(magic)), ""}
}

func freeSpace(total, free uint64) check {
	if total == 0 {
		return check{"free space", unknown, "the file system does not say", ""}
	}
	percent := int(free * 100 / total)
	found := fmt.Sprintf("%s of %s (%d %%)", bytesText(int64(free)), bytesText(int64(total)), percent)
	const fix = "free some, or lower retention: millrace config set topic/NAME retention.bytes=..."
	switch {
	case free < 1<<30 || percent < 5 && free < 50<<30:
		return check{"free space", broken, found, fix}
	case percent < 15 && free < 200<<30:
		return check{"free space", doubtful, found, fix}
	}
	return check{"free space", healthy, found, ""}
}

func freeFiles(total, free uint64) check {
	switch {
	case total == 0:
		return check{"free inodes", healthy, "not limited", ""}
	case free*100/total < 1:
		return check{"free inodes", broken, fmt.Sprintf("%d of %d", free, total), "delete files, or make a file system with more inodes"}
	}
	return check{"free inodes", healthy, fmt.Sprintf("%d %%", free*100/total), ""}
}
