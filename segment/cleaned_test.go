package segment

import (
	"errors"
	"os"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire/record"
)

// cleanedBatch is a batch of one record at an offset, or what compaction leaves of one whose record is gone.
func cleanedBatch(t *testing.T, offset, timestamp int64, empty bool) record.Batch {
	t.Helper()
	var w record.Builder
	w.Reset(record.BuildOptions{BaseOffset: offset})
	w.Add(timestamp, []byte("key"), make([]byte, 50))
	_, b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if empty {
		b = record.AppendEmpty(nil, b)
	}
	return b
}

func cleanedSegment(t *testing.T, fs vfs.FS, batches ...record.Batch) *Segment {
	t.Helper()
	o := Options{FS: fs, IndexInterval: 100}
	c, err := CreateCleaned("/d", 0, o, 200)
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, b := range batches {
		if err := c.Append(b); err != nil {
			t.Fatal(err)
		}
		size += int64(len(b))
	}
	if c.Size() != size {
		t.Fatalf("%d bytes, want %d", c.Size(), size)
	}
	if err := c.Append(batches[0]); err == nil {
		t.Fatal("a batch was taken twice")
	}
	if err := errors.Join(c.Finish(), c.Commit(), Install("/d", 0, fs)); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSealed("/d", 0, 1000, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A compacted segment has the indexes of its records: a batch without any has no timestamp, unless nothing else is there to tell how old the
// segment is. Indexes that are rebuilt say the same.
func TestCleanedSegments(t *testing.T) {
	for _, test := range []struct {
		name      string
		batches   []record.Batch
		timestamp int64
		found     int64 // the first offset with a timestamp of 300 or more; -1: none
	}{
		{"records", []record.Batch{cleanedBatch(t, 3, 100, false), cleanedBatch(t, 7, 300, false), cleanedBatch(t, 9, 200, false)}, 300, 7},
		{"the youngest is empty", []record.Batch{cleanedBatch(t, 3, 100, false), cleanedBatch(t, 7, 300, false), cleanedBatch(t, 9, 900, true)}, 300, 7},
		{"nothing but empty ones", []record.Batch{cleanedBatch(t, 3, 100, true), cleanedBatch(t, 9, 900, true), cleanedBatch(t, 12, 500, true)}, 900, -1},
	} {
		for _, rebuilt := range []bool{false, true} {
			fs := vfs.NewMem()
			if err := fs.MkdirAll("/d", 0o755); err != nil {
				t.Fatal(err)
			}
			s := cleanedSegment(t, fs, test.batches...)
			if rebuilt {
				if err := errors.Join(fs.Remove(Path("/d", 0, indexSuffix)), fs.Remove(Path("/d", 0, timeSuffix))); err != nil {
					t.Fatal(err)
				}
			}
			if ts, _, err := s.MaxTimestamp(true); ts != test.timestamp || err != nil {
				t.Errorf("%s, rebuilt %v: largest timestamp %d, %v", test.name, rebuilt, ts, err)
			}
			f, ok, err := s.OffsetForTime(300, 0, true)
			if err != nil || ok != (test.found >= 0) || ok && f.Offset != test.found {
				t.Errorf("%s, rebuilt %v: found %+v, %v, %v", test.name, rebuilt, f, ok, err)
			}
			sl, err := s.Slice(4, 1000, 1<<20, true, true)
			if err != nil || sl.Length == 0 {
				t.Fatal(sl.Length, err)
			}
			head := make(record.Batch, record.HeaderSize)
			if _, err := sl.ReadAt(head, 0); err != nil || head.BaseOffset() != test.batches[1].BaseOffset() {
				t.Errorf("%s: offset 4 is looked for at %d, %v", test.name, head.BaseOffset(), err)
			}
			sl.Release()
			if x, times, err := s.IndexSizes(); err != nil || x == 0 || (times == 0) != (test.found < 0) { // Kafka's tools look for the records
				t.Errorf("%s: index files of %d and %d bytes, %v", test.name, x, times, err)
			}
			if err := s.Close(true); err != nil {
				t.Error(err)
			}
			entries, err := fs.ReadDir("/d")
			if err != nil || len(entries) != 3 {
				t.Errorf("%s: %v, %v", test.name, entries, err)
			}
		}
	}
}

// What is not committed goes without a trace; what is committed is found again, with its end, whatever of its files has been renamed.
func TestCleanedSegmentsThatACrashLeaves(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{FS: fs}
	begin := func() *Cleaned {
		c, err := CreateCleaned("/d", 0, o, 0)
		if err == nil {
			err = errors.Join(c.Append(cleanedBatch(t, 5, 100, false)), c.Append(cleanedBatch(t, 8, 100, false)))
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, finished := range []bool{false, true} {
		c := begin()
		if finished {
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Abandon(); err != nil {
			t.Fatal(err)
		}
		if entries, _ := fs.ReadDir("/d"); len(entries) > 0 {
			t.Fatalf("finished %v: %v is left", finished, entries)
		}
	}
	for _, renamed := range []string{"", indexSuffix, timeSuffix, logSuffix} {
		c := begin()
		if err := errors.Join(c.Finish(), c.Commit()); err != nil {
			t.Fatal(err)
		}
		if end, err := SwapEnd("/d", 0, o); end != 9 || err != nil {
			t.Fatalf("it ends at %d, %v", end, err)
		}
		switch renamed {
		case indexSuffix: // the commit had come no further
			err := fs.Rename(Path("/d", 0, renamed)+SwapSuffix, Path("/d", 0, renamed)+CleanedSuffix)
			if err != nil {
				t.Fatal(err)
			}
		case timeSuffix: // some of it has its name
			if err := fs.Rename(Path("/d", 0, renamed)+SwapSuffix, Path("/d", 0, renamed)); err != nil {
				t.Fatal(err)
			}
		}
		if err := Install("/d", 0, fs); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix} {
			if _, err := fs.Stat(Path("/d", 0, suffix)); err != nil {
				t.Errorf("%s renamed: %v", renamed, err)
			}
		}
		if err := errors.Join(fs.RemoveAll("/d"), fs.MkdirAll("/d", os.ModePerm)); err != nil {
			t.Fatal(err)
		}
	}
}
