package engine

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// epochStart tells at which offset a leader epoch began.
type epochStart struct {
	epoch int32
	start int64
}

// epochs is the history of a log's leader epochs: both fields ascend strictly. It is a cache of what the batches' headers say; leader-epoch-checkpoint is a hint for it.
type epochs struct {
	list []epochStart
}

// latest is the epoch of the last record, or that the log would have next; -1 when nothing is known.
func (e *epochs) latest() int32 {
	if len(e.list) == 0 {
		return -1
	}
	return e.list[len(e.list)-1].epoch
}

// assign notes that epoch begins at start. It reports whether that was news. The caller has checked that neither goes back.
func (e *epochs) assign(epoch int32, start int64) bool {
	if epoch < 0 || epoch <= e.latest() {
		return false
	}
	// An epoch without any record of its own tells nobody anything.
	for len(e.list) > 0 && e.list[len(e.list)-1].start >= start {
		e.list = e.list[:len(e.list)-1]
	}
	e.list = append(e.list, epochStart{epoch, start})
	return true
}

// at is the epoch of the record at offset, -1 below all that is known.
func (e *epochs) at(offset int64) int32 {
	i := sort.Search(len(e.list), func(i int) bool { return e.list[i].start > offset })
	if i == 0 {
		return -1
	}
	return e.list[i-1].epoch
}

// end answers OffsetForLeaderEpoch as Kafka does: the largest epoch that is not above the one asked for, and where it ends.
// An epoch below all known ones ends where they begin; one above all is unknown: (-1, -1).
func (e *epochs) end(epoch int32, logEnd int64) (int32, int64) {
	i := sort.Search(len(e.list), func(i int) bool { return e.list[i].epoch > epoch })
	switch {
	case epoch == -1 || len(e.list) == 0:
		return -1, -1
	case i == 0:
		return epoch, e.list[0].start
	case i < len(e.list):
		return e.list[i-1].epoch, e.list[i].start
	case e.list[i-1].epoch == epoch:
		return epoch, logEnd
	}
	return -1, -1
}

// truncateEnd forgets what began at or after offset; it reports whether anything changed.
func (e *epochs) truncateEnd(offset int64) bool {
	n := len(e.list)
	for n > 0 && e.list[n-1].start >= offset {
		n--
	}
	changed := n != len(e.list)
	e.list = e.list[:n]
	return changed
}

// truncateStart forgets what ended at or before offset: the epoch that holds offset now begins there.
func (e *epochs) truncateStart(offset int64) bool {
	i := sort.Search(len(e.list), func(i int) bool { return e.list[i].start > offset })
	if i == 0 || (i == 1 && e.list[0].start == offset) {
		return false
	}
	e.list = slices.Clone(e.list[i-1:])
	e.list[0].start = offset
	return true
}

// append writes Kafka's leader-epoch-checkpoint.
func (e *epochs) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "0\n%d\n", len(e.list))
	for _, s := range e.list {
		dst = fmt.Appendf(dst, "%d %d\n", s.epoch, s.start)
	}
	return dst
}

func parseEpochs(b []byte) (e epochs, err error) {
	lines, err := checkpointLines(b)
	if err != nil {
		return e, err
	}
	for _, line := range lines {
		f := strings.Split(string(line), " ")
		if len(f) != 2 {
			return epochs{}, fmt.Errorf("%w: line %q", errCheckpoint, line)
		}
		epoch, err1 := strconv.ParseInt(f[0], 10, 32)
		start, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return epochs{}, fmt.Errorf("%w: line %q", errCheckpoint, line)
		}
		if n := len(e.list); n > 0 && (int32(epoch) <= e.list[n-1].epoch || start <= e.list[n-1].start) {
			return epochs{}, fmt.Errorf("%w: line %q goes back", errCheckpoint, line)
		}
		e.list = append(e.list, epochStart{int32(epoch), start})
	}
	return e, nil
}

func (e *epochs) String() string {
	var sb strings.Builder
	for i, s := range e.list {
		if i > 0 {
			sb.WriteByte(' ')
		}
		fmt.Fprintf(&sb, "%d@%d", s.epoch, s.start)
	}
	if len(e.list) == 0 {
		return "none"
	}
	return sb.String()
}
