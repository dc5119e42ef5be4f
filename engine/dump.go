package engine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Dump prints a small file of a log directory or of a partition's folder, which its name tells, for people and tests. What the file
// cannot be is an error. Logs and indexes are the segment room's.
func Dump(dst []byte, name string, content []byte) ([]byte, error) {
	name = filepath.Base(name)
	switch {
	case name == tableName:
		return dumpTable(dst, content)
	case name == metaName:
		m, err := parseMetaProperties(content)
		return fmt.Appendf(dst, "node %d, cluster %s, directory %s\n", m.nodeID, m.clusterID, m.directoryID), err
	case name == partitionName:
		id, err := parsePartitionMetadata(content)
		return fmt.Appendf(dst, "topic id %s\n", id), err
	case name == epochsName:
		e, err := parseEpochs(content)
		return fmt.Appendf(dst, "epochs %v\n", &e), err
	case name == recoveryPointsName || name == logStartsName || name == highWatermarksName:
		c, err := parseOffsetCheckpoint(content)
		return c.append(dst), err
	case name == cleanName:
		starts, ours := parseCleanMarker(content)
		return fmt.Appendf(dst, "clean stop, ours %v, start %d\n", ours, starts), nil
	case strings.HasSuffix(name, snapshotSuffix):
		list, err := parseSnapshot(content)
		return dumpProducers(dst, list), err
	case strings.HasSuffix(name, producersSuffix):
		offset, list, err := parseProducers(content)
		return dumpProducers(fmt.Appendf(dst, "as of offset %d\n", offset), list), err
	}
	return dst, fmt.Errorf("no file of a log directory is called %q", name)
}

func dumpProducers(dst []byte, list []producer) []byte {
	for i := range list {
		p := &list[i]
		dst = fmt.Appendf(dst, "producer %d epoch %d, last at %d, coordinator epoch %d:", p.id, p.epoch, p.lastTimestamp, p.coordinatorEpoch)
		for _, b := range p.window[:p.batches] {
			dst = fmt.Appendf(dst, " %d-%d@%d", b.firstSequence(), b.lastSequence, b.baseOffset())
		}
		if p.txnFirst >= 0 {
			dst = fmt.Appendf(dst, ", transaction from %d", p.txnFirst)
		}
		dst = append(dst, '\n')
	}
	return dst
}

func dumpTable(dst, content []byte) ([]byte, error) {
	h, records, sequences, ok := parseTable(content)
	if !ok {
		return dst, fmt.Errorf("%s: no valid header", tableName)
	}
	dst = fmt.Appendf(dst, "start %d, running %v, directory %s, boot %q\n", h.starts, h.running, h.directoryID, h.bootID)
	bySlot := make(map[int32]found, len(records))
	for _, r := range records {
		bySlot[r.slot] = r
	}
	for slot := range int32(len(sequences)) {
		r, used := bySlot[slot]
		if !used {
			continue
		}
		dst = fmt.Appendf(dst, "slot %d: key %016x, topic %s, log start %d, high watermark %d, durable %d, written %d, producers %d through %d, "+
			"active %d with %d of %d bytes, oldest %d, unstable %d, boot %08x, clean %v\n", slot, r.key, r.id, r.logStart, r.highWatermark,
			r.durable, r.written, r.snapshot, r.through, r.activeBase, r.activeSize, r.size, r.oldest, r.unstable, r.boot, r.clean)
	}
	return dst, nil
}
