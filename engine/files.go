package engine

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
)

// Names of files, Kafka's and our own. Kafka ignores files in a log directory that it does not know, never folders.
const (
	lockName           = ".lock"
	cleanName          = ".kafka_cleanshutdown"
	metaName           = "meta.properties"
	tableName          = "millrace-logs"
	recoveryPointsName = "recovery-point-offset-checkpoint"
	logStartsName      = "log-start-offset-checkpoint"
	highWatermarksName = "replication-offset-checkpoint"

	epochsName    = "leader-epoch-checkpoint"
	partitionName = "partition.metadata"

	logSuffix       = ".log"
	indexSuffix     = ".index"
	timeIndexSuffix = ".timeindex"
	txnIndexSuffix  = ".txnindex"
	snapshotSuffix  = ".snapshot"
	producersSuffix = ".producers" // ours: the windows of five batches

	deletedSuffix = ".deleted"
	cleanedSuffix = segment.CleanedSuffix
	swapSuffix    = segment.SwapSuffix
	tmpSuffix     = ".tmp"

	deleteFolderSuffix = "-delete"
	strayFolderSuffix  = "-stray"
	futureFolderSuffix = "-future"
)

// metadataTopic is the quorum's log: it lies beside the partitions and is none.
const metadataTopic = "__cluster_metadata"

// maxSmallFile bounds what is read of a file that fits in memory by its nature.
const maxSmallFile = 256 << 20

var errTooLarge = errors.New("file is too large to be what its name says")

// readFile reads a whole file.
func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxSmallFile {
		return nil, fmt.Errorf("%s: %w", name, errTooLarge)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF && n == len(b) {
		err = nil
	}
	return b[:n], err
}

// writeFile replaces a file: a reader after a crash sees the old content or the new one. The folder's entry is durable only after
// SyncDir, which the caller does when it matters.
func writeFile(fs vfs.FS, name string, content []byte) error {
	return replaceFile(fs, name, content, true)
}

// replaceFile without sync leaves anything at all after a power cut: it is for caches that are checked when they are read, and for what
// is synced later with everything else.
func replaceFile(fs vfs.FS, name string, content []byte, sync bool) error {
	tmp := name + tmpSuffix
	f, err := fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if len(content) > 0 {
		_, err = f.WriteAt(content, 0)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	return err
}

// makeFolder creates a folder and its parents, durably.
func makeFolder(fs vfs.FS, path string) error {
	var missing []string
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		if _, err := fs.Stat(p); err == nil || p == filepath.Dir(p) {
			break
		}
		missing = append(missing, p)
	}
	if len(missing) == 0 {
		return nil
	}
	if err := fs.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for _, p := range slices.Backward(missing) {
		if err := fs.SyncDir(filepath.Dir(p)); err != nil {
			return err
		}
	}
	return nil
}

// offsetName is the name of a file that belongs to an offset.
func offsetName(offset int64, suffix string) string { return fmt.Sprintf("%020d%s", offset, suffix) }

// parseOffsetName takes a name like 00000000000000000042.log apart.
func parseOffsetName(name, suffix string) (offset int64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	offset, err := strconv.ParseInt(digits, 10, 64)
	return offset, err == nil && offset >= 0 && digits[0] != '+'
}

// folderName is Kafka's name of a partition's folder.
func folderName(topic string, partition int32) string {
	return topic + "-" + strconv.Itoa(int(partition))
}

// parseFolderName is its inverse. A name that Kafka would not give is not ok.
func parseFolderName(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i == len(name)-1 {
		return "", 0, false
	}
	for _, suffix := range []string{deleteFolderSuffix, strayFolderSuffix, futureFolderSuffix} {
		if strings.HasSuffix(name, suffix) {
			return "", 0, false
		}
	}
	p, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || p < 0 || name[i+1] == '+' || (name[i+1] == '0' && len(name)-i > 2) {
		return "", 0, false
	}
	return name[:i], int32(p), true
}

// asideName is what a folder is renamed to when it goes: Kafka's pattern, cut so that the name stays legal.
func asideName(topic string, partition int32, id [2]uint64, suffix string) string {
	tail := fmt.Sprintf("-%d.%016x%016x%s", partition, id[0], id[1], suffix)
	if max := 255 - len(tail); len(topic) > max {
		topic = topic[:max]
	}
	return topic + tail
}

// appendPartitionMetadata writes partition.metadata, which ends without a line feed.
func appendPartitionMetadata(dst []byte, id wire.UUID) []byte {
	return append(append(dst, "version: 0\ntopic_id: "...), id.String()...)
}

func parsePartitionMetadata(b []byte) (wire.UUID, error) {
	version, rest, _ := strings.Cut(string(b), "\n")
	line, _, _ := strings.Cut(rest, "\n")
	text, ok := strings.CutPrefix(strings.TrimSpace(line), "topic_id: ")
	if strings.TrimSpace(version) != "version: 0" || !ok {
		return wire.UUID{}, fmt.Errorf("%s: not its format: %q", partitionName, b)
	}
	id, err := wire.ParseUUID(text)
	if err != nil {
		return wire.UUID{}, fmt.Errorf("%s: %w", partitionName, err)
	}
	return id, nil
}

// metaProperties is what identifies a log directory.
type metaProperties struct {
	clusterID   string
	directoryID wire.UUID
	nodeID      int32
}

func (m metaProperties) append(dst []byte) []byte {
	return fmt.Appendf(dst, "#\n# Written by Millrace\nnode.id=%d\ndirectory.id=%s\nversion=1\ncluster.id=%s\n",
		m.nodeID, m.directoryID, m.clusterID)
}

func parseMetaProperties(b []byte) (m metaProperties, err error) {
	set := map[string]string{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return m, fmt.Errorf("%s: line %q is not key=value", metaName, line)
		}
		set[strings.TrimSpace(key)] = strings.ReplaceAll(strings.TrimSpace(value), `\`, "")
	}
	if v := set["version"]; v != "1" {
		return m, fmt.Errorf("%s: version %q, only 1 is known", metaName, v)
	}
	node, err := strconv.ParseInt(set["node.id"], 10, 32)
	if err != nil {
		return m, fmt.Errorf("%s: node.id: %w", metaName, err)
	}
	m.nodeID, m.clusterID = int32(node), set["cluster.id"]
	if m.clusterID == "" {
		return m, fmt.Errorf("%s: no cluster.id", metaName)
	}
	if text := set["directory.id"]; text != "" { // Kafka before 3.7 wrote none
		if m.directoryID, err = wire.ParseUUID(text); err != nil {
			return m, fmt.Errorf("%s: directory.id: %w", metaName, err)
		}
	}
	return m, nil
}

// appendCleanMarker writes Kafka's marker of a clean stop. Kafka ignores our field; its absence tells us that Kafka stopped last.
func appendCleanMarker(dst []byte, starts uint64) []byte {
	return fmt.Appendf(dst, `{"version":0,"brokerEpoch":-1,"millrace":%d}`, starts)
}

// parseCleanMarker returns our field, or false when somebody else wrote the marker.
func parseCleanMarker(b []byte) (starts uint64, ours bool) {
	_, rest, ok := strings.Cut(string(b), `"millrace":`)
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, "}")
	starts, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
	return starts, err == nil
}

// randomUUID is a version 4 UUID, which is never zero.
func randomUUID(random func() uint64) wire.UUID {
	var id wire.UUID
	a, b := random(), random()
	for i := range 8 {
		id[i], id[8+i] = byte(a>>(8*i)), byte(b>>(8*i))
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

var defaultRandom = rand.Uint64

func join(parts ...string) string { return filepath.Join(parts...) }
