package host

import (
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	f := Read(dir)
	t.Logf("%s\n%s", f, f.Table())
	if f.Cores != runtime.NumCPU() || f.Memory < 64<<20 || !strings.HasPrefix(f.Kernel, "Linux ") || f.Go != runtime.Version() || f.Data.Type == "" || f.Data.Options == "" {
		t.Errorf("%+v", f)
	}
	if c := f.Costs; c.Syscall < 10 || c.PageTouch < 10 || c.Memcpy < 0.1 || c.Loopback < 1 || c.Sync <= 0 || c.SyncP99 < c.Sync || c.TimerP99 < c.Timer {
		t.Errorf("a price is missing or cannot be: %+v", c)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s has been left behind", left[0].Name())
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"kernel", "cpu", "cores", "memory_bytes", "virtual", "congestion_control", "data", "costs", "go"} {
		if !strings.Contains(string(b), `"`+tag+`":`) {
			t.Errorf("no %q in %s", tag, b)
		}
	}
	if c := Read("/proc/no/such/directory").Costs; c.Sync != 0 || c.Syscall == 0 {
		t.Errorf("a directory that cannot be written: %+v", c)
	}
}

func TestMountOf(t *testing.T) {
	const mounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
28 27 8:17 / /data rw,noatime - xfs /dev/sdb1 rw,inode64
29 28 0:40 / /data/a\040b rw - tmpfs tmpfs rw,size=4k
30 28 0:41 / /data/a\040b ro - overlay over
broken
`
	for path, want := range map[string]mount{
		"/":              {"254:0", "ext4", "/dev/root", "rw,relatime,discard"},
		"/database":      {"254:0", "ext4", "/dev/root", "rw,relatime,discard"},
		"/data":          {"8:17", "xfs", "/dev/sdb1", "rw,noatime,inode64"},
		"/data/kafka":    {"8:17", "xfs", "/dev/sdb1", "rw,noatime,inode64"},
		"/data/a b/logs": {"0:41", "overlay", "over", "ro"},
	} {
		if got, ok := mountOf(mounts, path); !ok || got != want {
			t.Errorf("%s is on %+v, want %+v", path, got, want)
		}
	}
	if _, ok := mountOf("", "/"); ok {
		t.Error("there are no mounts")
	}
}

func TestJournal(t *testing.T) {
	for _, c := range []struct {
		kind, options string
		jbd2, log     bool
		want          string
	}{
		{"ext4", "rw\ndelalloc\ndata=ordered\n", true, true, "ordered"},
		{"ext4", "rw\ndelalloc\n", true, false, "none"},
		{"ext4", "", true, true, "yes"},
		{"ext4", "", false, false, ""},
		{"xfs", "", false, false, "yes"},
		{"tmpfs", "", true, false, "none"},
		{"btrfs", "", true, false, ""},
	} {
		if got := journal(mount{kind: c.kind}, c.options, c.jbd2, c.log); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestProcessor(t *testing.T) {
	model, virtual := processor("processor\t: 0\nmodel name\t: A B\nflags\t\t: fpu hypervisor lm\n\nmodel name\t: C\n")
	if model != "A B" || !virtual {
		t.Errorf("%q, %v", model, virtual)
	}
	if _, virtual := processor("model name\t: A\nflags\t\t: fpu nohypervisor\n"); virtual {
		t.Error("no flag, no hypervisor")
	}
	if got := chosen("always [madvise] never"); got != "madvise" {
		t.Errorf("%q", got)
	}
}
