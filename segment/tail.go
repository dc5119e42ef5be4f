package segment

import (
	"runtime/debug"

	"github.com/millrace/millrace/wire/record"
)

// put writes a batch by pwrite, into the page cache from which the mapping and sendfile read, and adds an index entry when one is due: a store
// into the mapping of the index.
//
// The log has a mapping too, and a copy into it is no system call, but the tail is not written that way. It was, for batches below 12 KiB, with a
// worker that touched the pages ahead; each measurement since took a part of it away. What a store costs is the fault: it waits for the folio's
// writeback and for the lock of the mapping, behind the worker that touches. Measured (ext4 on Linux 6.18, two processors):
//
//	                                                     mapped        pwrite
//	end to end, 10,000 records/s of 1 KiB, p99           4.7 ms        0.8 to 0.9 ms
//	                                       p99.9         17 ms         2.7 to 3.8 ms
//	                                       CPU a record  63.0 us       61.2 us
//	full load, 1 KiB, CPU a record                       7.5 us        6.8 us
//	one connection, one request at a time                28 us         29 to 30 us
//	64 KiB batches, CPU of touching and of the appends   + 0.3 s/GB    0 (it was half of the broker's CPU)
//	a sync every 16 appends, CPU of an append   1 KiB    6.3 us        5.7 us
//	                                            4 KiB    16 us         9 us
//	                                            32 KiB   103 us        30 us
//	bytes to the disk for each appended, synced at 4 KiB 14 to 58      3.5
//	                                       at 128 KiB    4             1.1
//
// A sync writes whole folios, and those of a touched mapping are large. The price: the folios are as small as the writes, of which sendfile takes
// a quarter more CPU (1.24 times, 0.96 to 1.39, 0.08 s/GB of 1 MiB slices). A tail that copied batches below 1 KiB and wrote the others was no
// better than pwrite alone at 200 B (8.8 us against 6.6 us).
func (s *Segment) put(f *files, b record.Batch, position, last int64) (err error) {
	if _, err := f.log.WriteAt(b, position); err != nil {
		return err
	}
	defer catchFault(debug.SetPanicOnFault(true), &err)
	s.note(f, b, position, last)
	return nil
}
