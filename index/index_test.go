package index

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

func places(t *testing.T) map[string]struct {
	fs  vfs.FS
	dir string
} {
	m := vfs.NewMem()
	if err := m.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		fs  vfs.FS
		dir string
	}{"os": {vfs.OS, t.TempDir()}, "mem": {m, "/d"}}
}

func content(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	b, err := readWhole(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEntriesOnDisk(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			x, err := OpenOffsets(p.fs, filepath.Join(p.dir, "x.index"), 1000, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			y, err := OpenTimes(p.fs, filepath.Join(p.dir, "x.timeindex"), 1000, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			if x.Room() != 100 || y.Room() != 100 {
				t.Errorf("a new index has room for %d and %d entries", x.Room(), y.Room())
			}
			if err := errors.Join(x.Grow(3), y.Grow(3)); err != nil {
				t.Fatal(err)
			}
			x.Append(1004, 4200)
			x.Append(1000+1<<31-1, 1<<31-1)
			y.MaybeAppend(-1, 1000) // no timestamp
			y.MaybeAppend(1700000000000, 1003)
			y.MaybeAppend(1700000000000, 1004) // has not grown
			y.MaybeAppend(1699999999999, 1005)
			y.MaybeAppend(1700000000001, 1006)
			for _, c := range []struct {
				suffix, want string
			}{
				{"x.index", "00000004" + "00001068" + "7fffffff" + "7fffffff"},
				{"x.timeindex", "0000018bcfe56800" + "00000003" + "0000018bcfe56801" + "00000006"},
			} {
				b := content(t, p.fs, filepath.Join(p.dir, c.suffix))
				if got := hex.EncodeToString(b[:len(c.want)/2]); got != c.want || len(bytes.Trim(b[len(c.want)/2:], "\x00")) != 0 {
					t.Errorf("%s: %s, want %s and zeros", c.suffix, got, c.want)
				}
			}
			if err := errors.Join(x.Trim(), y.Trim(), x.Sync(), y.Sync()); err != nil {
				t.Fatal(err)
			}
			if a, b := content(t, p.fs, *x.path.Load()), content(t, p.fs, *y.path.Load()); len(a) != 16 || len(b) != 24 {
				t.Errorf("trimmed to %d and %d bytes", len(a), len(b))
			}
			if n, offset, position, err := LastOffset(p.fs, *x.path.Load(), 1000); n != 2 || offset != 1000+1<<31-1 || position != 1<<31-1 || err != nil {
				t.Errorf("last entry %d: %d at %d, %v", n, offset, position, err)
			}
			if n, timestamp, offset, err := LastTime(p.fs, *y.path.Load(), 1000); n != 2 || timestamp != 1700000000001 || offset != 1006 || err != nil {
				t.Errorf("last entry %d: %d at %d, %v", n, timestamp, offset, err)
			}
			if err := errors.Join(x.Close(), y.Close()); err != nil {
				t.Fatal(err)
			}

			if x, err = OpenOffsets(p.fs, *x.path.Load(), 1000, 1, 100); err != nil { // keeps one
				t.Fatal(err)
			}
			if x.Room() != 0 {
				t.Errorf("an opened index has room for %d entries", x.Room())
			}
			if err := x.Grow(2); err != nil {
				t.Fatal(err)
			}
			x.Append(1009, 5000)
			if err := errors.Join(x.Trim(), x.Close()); err != nil {
				t.Fatal(err)
			}
			sealed, err := OpenSealedOffsets(p.fs, *x.path.Load(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := hex.EncodeToString(sealed.View().Entries), "00000004"+"00001068"+"00000009"+"00001388"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if !sealed.Resident() || sealed.Warm() != nil {
				t.Error("not resident, or cannot be warmed")
			}
			if err := sealed.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenOffsets(p.fs, *x.path.Load(), 1000, 3, 100); err == nil {
				t.Error("opened with more entries than the file has")
			}
		})
	}
}

// The owner renames a file while a reader warms it: that is no error, and the mapping still has the entries.
func TestWarmingAFileThatIsRenamed(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(p.dir, "x.index")
			x, err := OpenOffsets(p.fs, path, 1000, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			x.Append(1004, 4200)
			if err := p.fs.Rename(path, path+".deleted"); err != nil {
				t.Fatal(err)
			}
			if err := x.Warm(); err != nil {
				t.Error(err)
			}
			if offset, position := x.View().At(0); offset != 1004 || position != 4200 {
				t.Errorf("entry %d at %d", offset, position)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLookupsAgreeWithALinearSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		const base = 77
		var offsets, times []byte
		offset, position, ts := int64(base), int64(0), int64(100)
		n := r.IntN(60)
		for range n {
			offset, position, ts = offset+1+r.Int64N(5), position+100+r.Int64N(50), ts+1+r.Int64N(4)
			var e [OffsetEntrySize]byte
			appendOffset(e[:], uint32(offset-base), uint32(position))
			offsets = append(offsets, e[:]...)
			var f [TimeEntrySize]byte
			appendTime(f[:], ts, uint32(offset-base))
			times = append(times, f[:]...)
		}
		x, y := Offsets{base, offsets}, Times{base, times}
		if err := x.Check(offset+1, position+1); err != nil {
			t.Fatal(err)
		}
		if err := y.Check(offset + 1); err != nil {
			t.Fatal(err)
		}
		for target := int64(base) - 1; target < offset+3; target++ {
			slot := -1
			for i := range x.Len() {
				if at, _ := x.At(i); at <= target {
					slot = i
				}
			}
			if low := r.IntN(slot + 2); x.Slot(target, low) != slot {
				t.Fatalf("Slot(%d, %d) = %d, want %d", target, low, x.Slot(target, low), slot)
			}
		}
		for target := int64(98); target < ts+3; target++ {
			slot := -1
			for i := range y.Len() {
				if at, _ := y.At(i); at < target {
					slot = i
				}
			}
			if got := y.Slot(target); got != slot {
				t.Fatalf("times: Slot(%d) = %d, want %d", target, got, slot)
			}
		}
	}
}

func TestCheckNamesTheFirstBadEntry(t *testing.T) {
	offsets := func(pairs ...uint32) Offsets {
		var b []byte
		for i := 0; i < len(pairs); i += 2 {
			var e [OffsetEntrySize]byte
			appendOffset(e[:], pairs[i], pairs[i+1])
			b = append(b, e[:]...)
		}
		return Offsets{10, b}
	}
	times := func(pairs ...int64) Times {
		var b []byte
		for i := 0; i < len(pairs); i += 2 {
			var e [TimeEntrySize]byte
			appendTime(e[:], pairs[i], uint32(pairs[i+1]))
			b = append(b, e[:]...)
		}
		return Times{10, b}
	}
	for _, c := range []struct {
		what string
		err  error
		bad  int
	}{
		{"good", offsets(1, 100, 2, 200, 9, 300).Check(20, 400), -1},
		{"the same offset", offsets(1, 100, 1, 200).Check(20, 400), 1},
		{"a lower position", offsets(1, 200, 2, 100).Check(20, 400), 1},
		{"zeros in the middle", offsets(1, 100, 0, 0, 3, 300).Check(20, 400), 1},
		{"the first batch", offsets(1, 0, 2, 200).Check(20, 400), 0},
		{"beyond the last offset", offsets(1, 100, 10, 200).Check(20, 400), 1},
		{"beyond the file", offsets(1, 100, 2, 400).Check(20, 400), 1},
		{"no int32", offsets(1<<31, 100).Check(1<<40, 400), 0},
		{"good times", times(5, 1, 6, 1, 9, 3).Check(20), -1},
		{"the same time", times(5, 1, 5, 2).Check(20), 1},
		{"no time", times(-1, 1).Check(20), 0},
		{"a lower offset", times(5, 2, 6, 1).Check(20), 1},
		{"beyond the end", times(5, 10).Check(20), 0},
	} {
		var bad *CheckError
		if c.bad < 0 && c.err != nil || c.bad >= 0 && (!errors.As(c.err, &bad) || bad.Entry != c.bad) {
			t.Errorf("%s: %v", c.what, c.err)
		}
	}
}

func TestReadingStripsWhatWasAllocatedAhead(t *testing.T) {
	m := vfs.NewMem()
	put := func(b []byte) {
		h, err := m.OpenFile("/i", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if _, err := h.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	entry := []byte{0, 0, 0, 1, 0, 0, 16, 0} // ends with a zero byte of its own
	for tail := range 40 {
		put(append(bytes.Clone(entry), make([]byte, tail)...))
		x, err := ReadOffsets(m, "/i", 0)
		if err != nil || !bytes.Equal(x.Entries, entry) {
			t.Errorf("%d zeros: %x, %v", tail, x.Entries, err)
		}
	}
	put(append(make([]byte, 8), 0, 0, 0, 2, 5)) // torn, after zeros
	if x, err := ReadOffsets(m, "/i", 0); err != nil || x.Len() != 0 {
		t.Errorf("torn after zeros: %x, %v", x.Entries, err)
	}
	put(append(bytes.Clone(entry), 0, 0, 0, 2, 5)) // torn
	if x, err := ReadOffsets(m, "/i", 0); err != nil || !bytes.Equal(x.Entries, entry) {
		t.Errorf("torn: %x, %v", x.Entries, err)
	}
	put(make([]byte, TimeEntrySize)) // timestamp 0 at the first offset
	if x, err := ReadTimes(m, "/i", 0); err != nil || x.Len() != 1 {
		t.Errorf("timestamp 0: %d entries, %v", x.Len(), err)
	}
	put(make([]byte, 4096))
	if x, err := ReadTimes(m, "/i", 0); err != nil || x.Len() != 0 {
		t.Errorf("zeros: %d entries, %v", x.Len(), err)
	}
	if x, err := ReadOffsets(m, "/missing", 0); err != nil || x.Len() != 0 {
		t.Errorf("missing: %d entries, %v", x.Len(), err)
	}
	put([]byte{1, 2, 3})
	if _, _, _, err := LastOffset(m, "/i", 0); !errors.As(err, new(*CheckError)) {
		t.Errorf("part of an entry: %v", err)
	}
}

func TestTransactionIndex(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(p.dir, "0.txnindex")
			x, err := OpenTxn(p.fs, path)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Flush(true); err != nil {
				t.Fatal(err)
			}
			if _, err := p.fs.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file without entries: %v", err)
			}
			x.Append(Aborted{ProducerID: 7, FirstOffset: 10, LastOffset: 20, LastStable: 11})
			x.Append(Aborted{ProducerID: 1 << 40, FirstOffset: 11, LastOffset: 30, LastStable: 31})
			if err := x.Flush(false); err != nil {
				t.Fatal(err)
			}
			want := "0000" + "0000000000000007" + "000000000000000a" + "0000000000000014" + "000000000000000b" +
				"0000" + "0000010000000000" + "000000000000000b" + "000000000000001e" + "000000000000001f"
			if got := hex.EncodeToString(content(t, p.fs, path)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			x.Append(Aborted{3, 40, 50, 51})
			if x, err = OpenTxn(p.fs, path); err != nil || len(x.All()) != 2 {
				t.Fatalf("%v, %v", x.All(), err)
			}
			x.Append(Aborted{3, 40, 50, 51})
			x.TruncateTo(30)
			if err := x.Flush(true); err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(content(t, p.fs, path)); got != want[:68] {
				t.Errorf("truncated: %s", got)
			}
			x.Append(Aborted{4, 25, 33, 34})
			if err := x.Flush(true); err != nil {
				t.Fatal(err)
			}
			if x, err = OpenTxn(p.fs, path); err != nil || fmt.Sprint(x.All()) != "[{7 10 20 11} {4 25 33 34}]" {
				t.Errorf("%v, %v", x.All(), err)
			}
		})
	}
}

func TestDamagedTransactionIndexSaysSo(t *testing.T) {
	good := Aborted{1, 2, 3, 4}.Append(nil)
	for what, b := range map[string][]byte{
		"version":    append([]byte{0, 1}, good[2:]...),
		"order":      append(bytes.Clone(good), good...),
		"first last": Aborted{1, 5, 4, 4}.Append(nil),
		"zeros":      make([]byte, TxnEntrySize),
	} {
		m := vfs.NewMem()
		h, err := m.OpenFile("/t", os.O_RDWR|os.O_CREATE, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		x, err := OpenTxn(m, "/t")
		if err == nil {
			t.Errorf("%s: opened", what)
		}
		x.TruncateTo(0)
		x.Append(Aborted{9, 8, 9, 9})
		if err := x.Flush(true); err != nil {
			t.Fatal(err)
		}
		if x, err = OpenTxn(m, "/t"); err != nil || fmt.Sprint(x.All()) != "[{9 8 9 9}]" {
			t.Errorf("%s: rebuilt: %v, %v", what, x.All(), err)
		}
	}
	m := vfs.NewMem()
	h, _ := m.OpenFile("/t", os.O_RDWR|os.O_CREATE, 0)
	if _, err := h.WriteAt(append(good, 0, 0, 7), 0); err != nil { // torn
		t.Fatal(err)
	}
	x, err := OpenTxn(m, "/t")
	if err != nil || len(x.All()) != 1 {
		t.Fatalf("torn: %v, %v", x.All(), err)
	}
	x.Append(Aborted{1, 4, 5, 6})
	if err := x.Flush(false); err != nil {
		t.Fatal(err)
	}
	if x, err = OpenTxn(m, "/t"); err != nil || len(x.All()) != 2 {
		t.Errorf("torn and appended: %v, %v", x.All(), err)
	}
}
