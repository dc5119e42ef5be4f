package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"syscall"
	"testing"
)

// both runs f on the real file system and on Mem: they must behave alike.
func both(t *testing.T, f func(t *testing.T, fs FS, dir string)) {
	t.Run("os", func(t *testing.T) { f(t, OS, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		if err := m.MkdirAll("/a/b", 0o755); err != nil {
			t.Fatal(err)
		}
		f(t, m, "/a/b")
	})
}

func create(t testing.TB, fs FS, name string, content string) File {
	t.Helper()
	f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func contentOf(t testing.TB, fs FS, name string) string {
	t.Helper()
	f, err := fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n != len(b) {
		t.Fatal(err)
	}
	return string(b)
}

func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, fs FS, dir string) {
		name := path.Join(dir, "f")
		if _, err := fs.OpenFile(name, os.O_RDWR, 0); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("open of nothing: %v", err)
		}
		f := create(t, fs, name, "hello")
		if _, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); !errors.Is(err, os.ErrExist) {
			t.Errorf("exclusive create of a file that is there: %v", err)
		}
		b := make([]byte, 10)
		if n, err := f.ReadAt(b, 1); n != 4 || err != io.EOF || string(b[:n]) != "ello" {
			t.Errorf("read %d, %v", n, err)
		}
		if n, err := f.ReadAt(b, 100); n != 0 || err != io.EOF {
			t.Errorf("read beyond the end: %d, %v", n, err)
		}
		if _, err := f.WriteAt([]byte("x"), 9); err != nil {
			t.Error(err)
		}
		if got := contentOf(t, fs, name); got != "hello\x00\x00\x00\x00x" {
			t.Errorf("a hole reads as %q", got)
		}
		if err := f.Truncate(3); err != nil {
			t.Error(err)
		}
		if err := f.Allocate(0, 6); err != nil {
			t.Error(err)
		}
		if got := contentOf(t, fs, name); got != "hel\x00\x00\x00" {
			t.Errorf("allocated: %q", got)
		}
		if err := f.Allocate(0, 2); err != nil {
			t.Error(err)
		}
		if size, err := f.Size(); size != 6 || err != nil {
			t.Errorf("allocation within the file made its size %d, %v", size, err)
		}
		r, err := fs.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
			t.Errorf("write to a file open for reading: %v", err)
		}
		for _, err := range []error{f.Sync(), r.Close(), f.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
		if err := f.Close(); err == nil {
			t.Error("closed twice")
		}
		if f, err = fs.OpenFile(name, os.O_RDWR|os.O_TRUNC, 0); err != nil {
			t.Fatal(err)
		}
		if size, _ := f.Size(); size != 0 {
			t.Errorf("truncated at open: %d bytes", size)
		}
		_ = f.Close()
	})
}

func TestNames(t *testing.T) {
	both(t, func(t *testing.T, fs FS, dir string) {
		_ = create(t, fs, path.Join(dir, "b"), "bb").Close()
		_ = create(t, fs, path.Join(dir, "a"), "a").Close()
		if err := fs.MkdirAll(path.Join(dir, "d/e"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := fs.Rename(path.Join(dir, "a"), path.Join(dir, "b")); err != nil { // over another
			t.Fatal(err)
		}
		if err := fs.Rename(path.Join(dir, "b"), path.Join(dir, "d/c")); err != nil { // to another folder
			t.Fatal(err)
		}
		_ = create(t, fs, path.Join(dir, "z"), "").Close()
		entries, err := fs.ReadDir(dir)
		if err != nil || len(entries) != 2 || entries[0].Name() != "d" || !entries[0].IsDir() || entries[1].Name() != "z" || entries[1].IsDir() {
			t.Errorf("%v, %v", entries, err)
		}
		if got := contentOf(t, fs, path.Join(dir, "d/c")); got != "a" {
			t.Errorf("renamed: %q", got)
		}
		if info, err := fs.Stat(path.Join(dir, "d/c")); err != nil || info.Size() != 1 || info.IsDir() || info.Name() != "c" {
			t.Errorf("%v, %v", info, err)
		}
		if err := fs.Remove(path.Join(dir, "d")); !errors.Is(err, syscall.ENOTEMPTY) {
			t.Errorf("remove of a full folder: %v", err)
		}
		if err := fs.SyncDir(dir); err != nil {
			t.Error(err)
		}
		if err := fs.RemoveAll(path.Join(dir, "d")); err != nil {
			t.Error(err)
		}
		if err := fs.RemoveAll(path.Join(dir, "d")); err != nil {
			t.Error("second time:", err)
		}
		for _, op := range []func(string) error{
			func(n string) error { _, err := fs.Stat(n); return err },
			func(n string) error { _, err := fs.ReadDir(n); return err },
			func(n string) error { return fs.Rename(n, n+"x") },
			fs.Remove, fs.SyncDir,
		} {
			if err := op(path.Join(dir, "d")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a name that is gone: %v", err)
			}
		}
	})
}

func TestMappingsAndFilesAreOneThing(t *testing.T) {
	both(t, func(t *testing.T, fs FS, dir string) {
		f := create(t, fs, path.Join(dir, "f"), "0123456789")
		m, err := f.Map(1<<20, MapOptions{Write: true}) // beyond the file's size
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Allocate(0, 100_000); err != nil {
			t.Fatal(err)
		}
		clear(m.Bytes()[5:90_000])
		if !m.Resident(5, 89_995) {
			t.Error("pages that were stored to are not resident")
		}
		copy(m.Bytes()[99_990:], "by mapping")
		b := make([]byte, 10)
		if n, err := f.ReadAt(b, 99_990); n != 10 || string(b) != "by mapping" {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := f.WriteAt([]byte("by write"), 50_000); err != nil {
			t.Error(err)
		}
		if got := m.Bytes()[50_000:50_008]; string(got) != "by write" {
			t.Errorf("%q", got)
		}
		if err := f.Truncate(4); err != nil {
			t.Error(err)
		}
		if err := f.Allocate(0, 100_000); err != nil {
			t.Error(err)
		}
		if got := m.Bytes()[50_000:50_008]; !bytes.Equal(got, make([]byte, 8)) {
			t.Errorf("cut and grown again: %q", got)
		}
		f.StartWriteback(0, 4096)
		if err := m.Unmap(); err != nil {
			t.Error(err)
		}
		if err := m.Unmap(); err == nil {
			t.Error("unmapped twice")
		}
		_ = f.Close()
	})
}

func TestLockIsExclusive(t *testing.T) {
	both(t, func(t *testing.T, fs FS, dir string) {
		l, err := fs.Lock(path.Join(dir, ".lock"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fs.Lock(path.Join(dir, ".lock")); !errors.Is(err, ErrLocked) {
			t.Errorf("locked twice: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = fs.Lock(path.Join(dir, ".lock")); err != nil {
			t.Fatalf("after it was given back: %v", err)
		}
		_ = l.Close()
	})
}

func TestFreeBytes(t *testing.T) {
	both(t, func(t *testing.T, fs FS, dir string) {
		if n, err := fs.FreeBytes(dir); err != nil || n <= 0 {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := fs.TotalBytes(dir); err != nil || n <= 0 {
			t.Errorf("%d in all, %v", n, err)
		}
	})
	m := NewMem()
	m.SetCapacity(100)
	if n, _ := m.TotalBytes("/"); n != 100 {
		t.Errorf("%d bytes in all, not 100", n)
	}
	f := create(t, m, "/f", "0123456789")
	if n, _ := m.FreeBytes("/"); n != 90 {
		t.Errorf("%d bytes free of 100, 10 used", n)
	}
	if err := f.Allocate(0, 101); !errors.Is(err, ErrNoSpace) {
		t.Errorf("allocation beyond the capacity: %v", err)
	}
	if _, err := f.WriteAt([]byte("x"), 100); !errors.Is(err, ErrNoSpace) {
		t.Errorf("write beyond the capacity: %v", err)
	}
	if got := contentOf(t, m, "/f"); got != "0123456789" {
		t.Errorf("refused writes left %q", got)
	}
	if err := m.Remove("/f"); err != nil {
		t.Fatal(err)
	}
	if n, _ := m.FreeBytes("/"); n != 100 {
		t.Errorf("%d bytes free after the file is gone", n)
	}
}

func TestHookFailsOperations(t *testing.T) {
	m := NewMem()
	f := create(t, m, "/f", "x")
	var ops []string
	m.SetHook(func(op, name string) error {
		ops = append(ops, op+" "+name)
		return syscall.EIO
	})
	if _, err := f.WriteAt([]byte("y"), 0); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := m.Rename("/f", "/g"); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	m.SetHook(nil)
	if got := contentOf(t, m, "/f"); got != "x" {
		t.Errorf("a failed write left %q", got)
	}
	if want := "[write /f sync /f rename /f]"; fmt.Sprint(ops) != want {
		t.Errorf("asked %v, want %v", ops, want)
	}
}

// The rules by which a crash may leave things, each with all that is not durable dropped (0) and kept (100).
func TestCrashCloneKeepsWhatIsDurable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	m := NewMem()
	if err := m.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	state := func(fs FS) string {
		out := ""
		entries, err := fs.ReadDir("/d")
		if err != nil {
			return "no folder"
		}
		for _, e := range entries {
			out += e.Name() + "=" + contentOf(t, fs, "/d/"+e.Name()) + " "
		}
		return out
	}
	expect := func(what, dropped, kept string) {
		t.Helper()
		if got := state(m.CrashClone(r, 0)); got != dropped {
			t.Errorf("%s: a power cut leaves %q, want %q", what, got, dropped)
		}
		if got := state(m.CrashClone(r, 100)); got != kept {
			t.Errorf("%s: a killed process leaves %q, want %q", what, got, kept)
		}
	}
	f := create(t, m, "/d/f", "one")
	expect("nothing synced", "no folder", "f=one ")
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	expect("folder synced", "", "f=one ")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	expect("file synced, its name not", "", "f=one ")
	if err := m.SyncDir("/d"); err != nil {
		t.Fatal(err)
	}
	expect("file and name synced", "f=one ", "f=one ")
	if _, err := f.WriteAt([]byte("three"), 0); err != nil {
		t.Fatal(err)
	}
	expect("written again", "f=one ", "f=three ")
	mapping, err := f.Map(4096, MapOptions{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	copy(mapping.Bytes(), "TH")
	expect("written through a mapping", "f=one ", "f=THree ")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	expect("synced through a mapping", "f=THree ", "f=THree ")
	if err := m.Rename("/d/f", "/d/g"); err != nil {
		t.Fatal(err)
	}
	expect("renamed", "f=THree ", "g=THree ")
	if err := m.SyncDir("/d"); err != nil {
		t.Fatal(err)
	}
	expect("renamed and synced", "g=THree ", "g=THree ")
	if err := m.Remove("/d/g"); err != nil {
		t.Fatal(err)
	}
	expect("removed", "g=THree ", "")
	if err := m.SyncDir("/d"); err != nil {
		t.Fatal(err)
	}
	expect("removed and synced", "", "")
}

func TestSyncFSMakesEverythingDurable(t *testing.T) {
	both(t, func(t *testing.T, fs FS, dir string) {
		if err := fs.SyncFS(dir); err != nil {
			t.Error(err)
		}
	})
	m := NewMem()
	if err := m.MkdirAll("/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	create(t, m, "/a/b/f", "one")
	create(t, m, "/g", "two")
	if err := m.SyncFS("/a"); err != nil {
		t.Fatal(err)
	}
	c := m.CrashClone(rand.New(rand.NewPCG(1, 2)), 0)
	if got := contentOf(t, c, "/a/b/f") + contentOf(t, c, "/g"); got != "onetwo" {
		t.Errorf("left %q", got)
	}
}

func TestCrashCloneIsAFunctionOfTheSeed(t *testing.T) {
	m := NewMem()
	for i := range 20 {
		f := create(t, m, fmt.Sprintf("/f%d", i), "")
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i) + 1}, 5000), 0); err != nil {
			t.Fatal(err)
		}
		if i == 10 {
			if err := m.SyncDir("/"); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	for seed := range uint64(20) {
		var first string
		for range 2 {
			c := m.CrashClone(rand.New(rand.NewPCG(seed, 1)), 50)
			got := ""
			entries, _ := c.ReadDir("/")
			for _, e := range entries {
				got += e.Name() + contentOf(t, c, "/"+e.Name())
			}
			if first == "" {
				first = got
			} else if got != first {
				t.Fatalf("seed %d gives two outcomes", seed)
			}
		}
		seen[first] = true
	}
	if len(seen) < 15 {
		t.Errorf("only %d outcomes of 20 seeds", len(seen))
	}
}
