package fuzz

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/millrace/millrace/engine"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/wire"
	"github.com/millrace/millrace/wire/record"
)

// engineFileNames are the small files of a log directory, by what decodes them.
var engineFileNames = []string{
	"millrace-logs", "meta.properties", "partition.metadata", "leader-epoch-checkpoint", "recovery-point-offset-checkpoint",
	".kafka_cleanshutdown", "00000000000000000007.snapshot", "00000000000000000007.producers",
}

// FuzzEngineFiles: no content of any small file makes its decoder panic or spend memory out of proportion, and what it says of the same
// bytes is the same.
func FuzzEngineFiles(f *testing.F) {
	for _, seed := range engineFiles(f) {
		for kind := range engineFileNames {
			f.Add(uint8(kind), seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		name := engineFileNames[int(kind)%len(engineFileNames)]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := engine.Dump(nil, name, content)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > uint64(1<<16+200*len(content)) {
			t.Fatalf("%s: %d bytes allocated for %d", name, spent, len(content))
		}
		again, err2 := engine.Dump(nil, name, content)
		if !bytes.Equal(got, again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%s: %s %v, then %s %v", name, got, err, again, err2)
		}
	})
}

// engineFiles are real files: those of a directory that was used and stopped cleanly, and Kafka's.
func engineFiles(f *testing.F) [][]byte {
	var seeds [][]byte
	fs := vfs.NewMem()
	w := newEngineWorld(f, fs)
	l := w.open()
	for sequence := range int32(7) {
		w.append(l, engineBatch(record.BuildOptions{Idempotent: true, ProducerID: int64(sequence % 2), BaseSequence: sequence / 2 * 2}, 2, 10), sequence/3)
	}
	if err := w.d.Close(true); err != nil {
		f.Fatal(err)
	}
	w.pump()
	for _, folder := range []string{"/data", "/data/t-0"} {
		entries, err := fs.ReadDir(folder)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range entries {
			if h, err := fs.OpenFile(filepath.Join(folder, e.Name()), os.O_RDONLY, 0); err == nil && !e.IsDir() {
				size, _ := h.Size()
				b := make([]byte, size)
				_, _ = h.ReadAt(b, 0) // io.EOF at the end
				seeds = append(seeds, b)
				_ = h.Close()
			}
		}
	}
	kafka, err := filepath.Glob("../engine/testdata/kafka/*")
	more, err2 := filepath.Glob("../engine/testdata/kafka/*/*")
	if err != nil || err2 != nil || len(kafka) == 0 || len(more) == 0 {
		f.Fatal("no files of Kafka's", err, err2)
	}
	for _, name := range append(kafka, more...) {
		if b, err := os.ReadFile(name); err == nil {
			seeds = append(seeds, b)
		}
	}
	return seeds
}

var engineTopicID = wire.UUID{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}
