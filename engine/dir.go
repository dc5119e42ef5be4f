package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/segment"
	"github.com/millrace/millrace/wire"
)

// DirOptions configure a log directory.
type DirOptions struct {
	FS            vfs.FS           // nil: the operating system's
	Path          string           // created when missing
	Go            func(job func()) // runs a job on another goroutine, at least a few at once, and drops none; required
	Rest          func(job func()) // runs a job that nobody waits for, one after the other, and drops none; nil: Go
	Log           *slog.Logger     // nil: silent
	NodeID        int32
	ClusterID     string        // "": whatever meta.properties says; of a new directory one is made up
	BootID        string        // identifies the running operating system; "": unknown, the page cache is not trusted across restarts
	Rand          func() uint64 // ids of directories and of removed folders; nil: math/rand/v2
	MaxProducers  int           // producer ids remembered per log; 0: 20,000
	AllProducers  int64         // by all logs together; 0: 500,000 (about 80 MB)
	BudgetPercent int           // of free disk for allocation ahead and spares; 0: 5
	IdleAfter     int64         // ms without use after which a log closes its files; 0: 60,000
	OnOffline     func(error)   // called once, by whoever meets the error, with whatever locked: it must not block nor call back
}

func (o DirOptions) withDefaults() DirOptions {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = defaultRandom
	}
	if o.MaxProducers == 0 {
		o.MaxProducers = 20_000
	}
	if o.AllProducers == 0 {
		o.AllProducers = 500_000
	}
	if o.BudgetPercent == 0 {
		o.BudgetPercent = 5
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = 60_000
	}
	return o
}

// Dir is a log directory: one folder per partition, and the files that tell how the last stop went.
type Dir struct {
	o              DirOptions
	fs             vfs.FS
	lock           io.Closer
	meta           metaProperties
	table          *table
	budget         *segment.Budget
	how            previousStop
	boot           uint32 // tag of the running operating system
	tailLost       bool
	now            atomic.Int64
	failure        atomic.Pointer[failure]
	closed         atomic.Bool
	producers      atomic.Int64 // remembered by all logs
	producerExpiry atomic.Int64 // ms
	cleaned        cleanOffsets

	names struct {
		sync.Mutex
		wanted atomic.Uint64 // how often somebody wanted a sync of the directory's names
		done   uint64        // for how many of them it was done
	}

	mu struct {
		sync.Mutex
		folders map[string]bool    // partition folders on disk that no Log stands for yet
		records map[uint64]found   // their slots
		logs    map[string]*Log    // by folder name
		configs map[Config]*Config // logs of a topic share one

		open  []*Log  // with open files, in no particular but a determined order
		dirty []*Log  // to be looked at in the background, in order of Log calls
		busy  bool    // somebody does
		trash []trash // to be unlinked, in order of time

		kafka        kafkaCheckpoints // as found; of folders that no Log stands for yet
		kafkaAt      int64            // when they were last written
		kafkaWrites  uint64           // of the table at that time: without another one nothing has changed
		kafkaChanged bool             // logStart of some log was moved by a request
	}
}

// previousStop is how the directory was left.
type previousStop int

const (
	stopFresh   previousStop = iota // there was none
	stopClean                       // by us, cleanly: the table is exact
	stopCrash                       // by us, without a clean stop: the table is a lower bound
	stopKafka                       // by Kafka, cleanly: all folders are, the table is stale
	stopUnknown                     // no marker, and the table is not the newest thing here: look at everything
)

func (s previousStop) String() string {
	return [...]string{"fresh", "clean", "crash", "kafka", "unknown"}[s]
}

// failure is why a directory or a log is offline.
type failure struct{ err error }

// trash is something that is unlinked when its time has come.
type trash struct {
	at     int64 // ms
	name   string
	unlink func() error
}

// kafkaCheckpoints are the three files that Kafka keeps beside its logs.
type kafkaCheckpoints struct {
	recoveryPoints, logStarts, highWatermarks offsetCheckpoint
}

type kafkaCheckpoint struct {
	name string
	c    *offsetCheckpoint
}

func (k *kafkaCheckpoints) files() [3]kafkaCheckpoint {
	return [3]kafkaCheckpoint{{recoveryPointsName, &k.recoveryPoints}, {logStartsName, &k.logStarts}, {highWatermarksName, &k.highWatermarks}}
}

// ErrForeign refuses a directory that holds somebody else's files.
var ErrForeign = errors.New("engine: the directory is not empty and not a log directory")

// OpenDir locks a directory, formats it when empty, refuses a foreign one and reads what all logs need. It scans no partition.
func OpenDir(o DirOptions) (*Dir, error) {
	o = o.withDefaults()
	if o.Go == nil || o.Path == "" {
		return nil, errors.New("engine: DirOptions.Go and Path are required")
	}
	if err := makeFolder(o.FS, o.Path); err != nil {
		return nil, fmt.Errorf("log directory: %w", err)
	}
	lock, err := o.FS.Lock(join(o.Path, lockName))
	if err != nil {
		return nil, fmt.Errorf("log directory %s: %w", o.Path, err)
	}
	d := &Dir{o: o, fs: o.FS, lock: lock}
	d.SetProducerExpiry(producerExpiry)
	if err := d.start(); err != nil {
		if d.table != nil {
			_ = d.table.file.Close()
		}
		_ = lock.Close()
		return nil, fmt.Errorf("log directory %s: %w", o.Path, err)
	}
	return d, nil
}

func (d *Dir) path(parts ...string) string { return join(append([]string{d.o.Path}, parts...)...) }

// start is R1 and R2 of a recovery: who was here last, and how did that end? After it the directory says that we are running.
func (d *Dir) start() error {
	entries, err := d.fs.ReadDir(d.o.Path)
	if err != nil {
		return err
	}
	fresh, err := d.identify(entries)
	if err != nil {
		return err
	}
	marker, markerErr := readFile(d.fs, d.path(cleanName))
	if markerErr != nil && !errors.Is(markerErr, fs.ErrNotExist) {
		return markerErr
	}
	t, h, records, known, err := openTable(d.fs, d.path(tableName))
	if err != nil {
		return err
	}
	d.table = t
	d.how = howItStopped(fresh, markerErr == nil, marker, h, known && h.directoryID == d.meta.directoryID)
	d.boot = bootTag(d.o.BootID)
	d.tailLost = d.how == stopUnknown || d.how == stopCrash && (d.o.BootID == "" || bootTag(h.bootID) != d.boot)
	d.mu.logs = map[string]*Log{}
	d.mu.configs = map[Config]*Config{}
	d.mu.folders = map[string]bool{}
	if d.how == stopKafka || d.how == stopUnknown {
		records = nil
		if err := t.reset(); err != nil {
			return err
		}
		d.readKafkaCheckpoints(&d.mu.kafka)
	}
	d.mu.records = records
	if err := t.writeHeader(tableHeader{starts: h.starts + 1, directoryID: d.meta.directoryID, running: true, bootID: d.o.BootID}); err != nil {
		return err
	}
	if markerErr == nil {
		if err := d.fs.Remove(d.path(cleanName)); err != nil {
			return err
		}
	}
	if markerErr == nil || fresh {
		if err := d.fs.SyncDir(d.o.Path); err != nil {
			return err
		}
	}
	for _, e := range entries {
		d.sortFolder(e)
	}
	free, err := d.fs.FreeBytes(d.o.Path)
	if err != nil {
		return err
	}
	d.budget = segment.NewBudget(free / 100 * int64(d.o.BudgetPercent))
	d.o.Log.Info("log directory opened", "path", d.o.Path, "previousStop", d.how.String(), "partitions", len(d.mu.folders))
	return nil
}

// howItStopped decides what may be believed.
func howItStopped(fresh, marked bool, marker []byte, h tableHeader, known bool) previousStop {
	starts, ours := parseCleanMarker(marker)
	switch {
	case fresh:
		return stopFresh
	case marked && ours && known && !h.running && h.starts == starts:
		return stopClean
	case marked && !ours:
		return stopKafka
	case !marked && known && h.running:
		return stopCrash
	}
	return stopUnknown
}

// identify reads meta.properties, or formats an empty directory.
func (d *Dir) identify(entries []fs.DirEntry) (fresh bool, err error) {
	path := d.path(metaName)
	b, err := readFile(d.fs, path)
	if err == nil {
		if d.meta, err = parseMetaProperties(b); err != nil {
			return false, err
		}
		if d.meta.nodeID != d.o.NodeID {
			return false, fmt.Errorf("it belongs to node.id=%d, this is node.id=%d", d.meta.nodeID, d.o.NodeID)
		}
		if d.o.ClusterID != "" && d.o.ClusterID != d.meta.clusterID {
			return false, fmt.Errorf("it belongs to cluster.id=%s, this is cluster.id=%s", d.meta.clusterID, d.o.ClusterID)
		}
		if !d.meta.directoryID.IsZero() {
			return false, nil
		}
		d.meta.directoryID = randomUUID(d.o.Rand)
		return false, writeFile(d.fs, path, d.meta.append(nil))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	for _, e := range entries {
		switch e.Name() {
		case lockName, metaName + tmpSuffix, tableName, "lost+found": // what a crash during this very function leaves
		default:
			return false, fmt.Errorf("%w: it holds %q and no %s", ErrForeign, e.Name(), metaName)
		}
	}
	d.meta = metaProperties{clusterID: d.o.ClusterID, directoryID: randomUUID(d.o.Rand), nodeID: d.o.NodeID}
	if d.meta.clusterID == "" {
		d.meta.clusterID = randomUUID(d.o.Rand).String()
	}
	return true, writeFile(d.fs, path, d.meta.append(nil))
}

// sortFolder takes note of one name in the directory.
func (d *Dir) sortFolder(e fs.DirEntry) {
	name := e.Name()
	if !e.IsDir() {
		return
	}
	if strings.HasSuffix(name, deleteFolderSuffix) {
		d.mu.trash = append(d.mu.trash, trash{name: name, unlink: func() error { return d.fs.RemoveAll(d.path(name)) }})
	} else if _, _, ok := parseFolderName(name); ok {
		d.mu.folders[name] = true
	}
}

func (d *Dir) readKafkaCheckpoints(k *kafkaCheckpoints) {
	for _, f := range k.files() {
		b, err := readFile(d.fs, d.path(f.name))
		if err == nil {
			*f.c, err = parseOffsetCheckpoint(b)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.o.Log.Warn("checkpoint ignored", "file", f.name, "err", err)
		}
	}
}

// ClusterID is what meta.properties says.
func (d *Dir) ClusterID() string { return d.meta.clusterID }

// Path is where the directory is.
func (d *Dir) Path() string { return d.o.Path }

// Space is the size of the file system that holds the directory and what of it is left for us. Off the loops.
func (d *Dir) Space() (total, usable int64, err error) {
	if total, err = d.fs.TotalBytes(d.o.Path); err != nil {
		return 0, 0, err
	}
	usable, err = d.fs.FreeBytes(d.o.Path)
	return total, usable, err
}

// SetProducerExpiry says after how many ms of silence a producer is forgotten; at first it is a day.
func (d *Dir) SetProducerExpiry(ms int64) { d.producerExpiry.Store(ms) }

// ID is the directory's own id.
func (d *Dir) ID() wire.UUID { return d.meta.directoryID }

// Clean says whether the directory had been stopped cleanly, or was new: then nothing in it needs recovery.
func (d *Dir) Clean() bool { return d.how == stopFresh || d.how == stopClean || d.how == stopKafka }

// TailLost says that what the logs held beyond their last sync may be gone: no clean stop, and the page cache is not the same any more.
func (d *Dir) TailLost() bool { return d.tailLost }

// Err is why the directory is offline, or nil.
func (d *Dir) Err() error {
	if f := d.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail takes the directory offline until the next start: after a failed sync nobody knows what is on the disk (I19).
func (d *Dir) fail(err error) error {
	f := &failure{fmt.Errorf("%w: %w", ErrOffline, err)}
	if !d.failure.CompareAndSwap(nil, f) {
		return d.Err()
	}
	d.o.Log.Error("log directory offline until restart", "path", d.o.Path, "err", err)
	if d.o.OnOffline != nil {
		d.o.OnOffline(f.err)
	}
	return f.err
}

// Partitions lists what lies on disk, in order of folder names. The metadata log is none of them.
func (d *Dir) Partitions() []PartitionDir {
	d.mu.Lock()
	names := slices.Collect(maps.Keys(d.mu.folders))
	ids := make(map[string]wire.UUID, len(names))
	for _, name := range names {
		ids[name] = d.mu.records[keyOf(name)].id
	}
	for name, l := range d.mu.logs {
		if l.onDisk() {
			names = append(names, name)
			ids[name] = l.id
		}
	}
	d.mu.Unlock()
	slices.Sort(names)
	list := make([]PartitionDir, 0, len(names))
	for _, name := range names {
		topic, partition, _ := parseFolderName(name)
		if topic == metadataTopic {
			continue
		}
		p := PartitionDir{Topic: topic, Partition: partition, ID: ids[name]}
		if p.ID.IsZero() {
			if b, err := readFile(d.fs, d.path(name, partitionName)); err == nil {
				p.ID, _ = parsePartitionMetadata(b) // unreadable: stays zero
			}
		}
		list = append(list, p)
	}
	return list
}

// Log returns the log of a partition. It is cheap: nothing is opened or created. Asked twice for the same id, it returns the same log.
// Asked for another id of the same name, the older log goes away at the first append to the new one, if nobody removed it before.
func (d *Dir) Log(topic string, id wire.UUID, partition int32, c Config) *Log {
	folder := folderName(topic, partition)
	d.mu.Lock()
	defer d.mu.Unlock()
	config := d.internLocked(c)
	l := d.mu.logs[folder]
	if l != nil && l.id == id && !l.gone() {
		l.setConfig(config)
		return l
	}
	l = &Log{dir: d, topic: topic, folder: folder, partition: partition, id: id, previous: l}
	l.config.Store(config)
	l.initialize(d)
	d.mu.logs[folder] = l
	return l
}

func (d *Dir) internLocked(c Config) *Config {
	c = c.withDefaults()
	shared := d.mu.configs[c]
	if shared == nil {
		if len(d.mu.configs) > 1024 {
			clear(d.mu.configs) // settings changed often; those in use live on in their logs
		}
		shared = &c
		d.mu.configs[c] = shared
	}
	return shared
}

// enqueueLocked lets the background look at a log whose ends are not known.
func (d *Dir) enqueueLocked(l *Log) {
	d.mu.dirty = append(d.mu.dirty, l)
	if !d.mu.busy {
		d.mu.busy = true
		d.o.Go(d.recoverNext)
	}
}

// recoverNext recovers one log and asks for the next: a log that a client waits for does not queue behind all the others.
func (d *Dir) recoverNext() {
	d.mu.Lock()
	if len(d.mu.dirty) == 0 || d.closed.Load() {
		d.mu.busy, d.mu.dirty = false, nil
		d.mu.Unlock()
		return
	}
	l := d.mu.dirty[0]
	d.mu.dirty = d.mu.dirty[1:]
	d.mu.Unlock()
	if l.begin(askOpen) {
		wasClean := d.how == stopKafka || l.recordCopy().clean
		l.openJob()
		if wasClean {
			l.Idle(d.now.Load(), 0) // its ends are known now: that is all that was wanted
		}
	}
	d.o.Go(d.recoverNext)
}

// throwAway unlinks something later, through Go.
func (d *Dir) throwAway(t trash) {
	d.mu.Lock()
	d.mu.trash = append(d.mu.trash, t)
	d.mu.Unlock()
}

// emptyTrash unlinks what is due.
func (d *Dir) emptyTrash(now int64) {
	d.mu.Lock()
	var due []trash
	d.mu.trash = slices.DeleteFunc(d.mu.trash, func(t trash) bool {
		if t.at <= now {
			due = append(due, t)
		}
		return t.at <= now
	})
	d.mu.Unlock()
	if len(due) == 0 {
		return
	}
	d.o.Go(func() {
		for _, t := range due {
			if err := t.unlink(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				d.o.Log.Warn("unlink", "name", t.name, "err", err)
			}
		}
	})
}

// idlePerTick bounds how many idle logs a tick closes: each costs a few syncs, which those in use feel.
const idlePerTick = 32

// checkpointInterval is how often Kafka's own checkpoint files are written while running, in ms. They serve Kafka's tools and a
// directory taken back to Kafka; our own start reads the table.
const checkpointInterval = 60_000

// Tick does what is due by the clock: the table's sync, Kafka's checkpoints, unlinking, closing of idle logs. Call it about once a
// second, off the loops. It returns why the directory is offline, if it is.
func (d *Dir) Tick(now int64) error {
	d.now.Store(now)
	d.emptyTrash(now)
	if err := d.Err(); err != nil || d.closed.Load() {
		return err
	}
	closing := 0
	for _, l := range d.openLogs() {
		if l.tick(now, closing < idlePerTick) {
			closing++
		}
	}
	if err := d.table.sync(); err != nil {
		return d.fail(err)
	}
	d.mu.Lock()
	writes := d.table.writes.Load()
	due := d.mu.kafkaChanged || now-d.mu.kafkaAt >= checkpointInterval && writes != d.mu.kafkaWrites
	if due {
		d.mu.kafkaAt, d.mu.kafkaChanged, d.mu.kafkaWrites = now, false, writes
	}
	d.mu.Unlock()
	if due {
		if err := d.writeKafkaCheckpoints(); err != nil {
			if errors.Is(err, vfs.ErrNoSpace) {
				d.o.Log.Warn("checkpoints not written", "err", err)
				return d.Err()
			}
			return d.fail(err)
		}
	}
	return d.Err()
}

func (d *Dir) openLogs() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.mu.open)
}

// syncNames makes the folders of partitions durable. Whoever waits here while another one syncs shares the next sync with all others
// who wait.
func (d *Dir) syncNames() error {
	mine := d.names.wanted.Add(1)
	d.names.Lock()
	defer d.names.Unlock()
	if d.names.done >= mine {
		return nil
	}
	if err := d.Err(); err != nil {
		return err // a sync that failed before ours may have lost our names too
	}
	upTo := d.names.wanted.Load()
	if err := d.fs.SyncDir(d.o.Path); err != nil {
		return d.fail(err)
	}
	d.names.done = upTo
	return nil
}

// addOpen and removeOpen keep the list of logs with open files.
func (d *Dir) addOpen(l *Log) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.openAt = len(d.mu.open)
	d.mu.open = append(d.mu.open, l)
}

func (d *Dir) removeOpen(l *Log) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := len(d.mu.open) - 1
	if l.openAt > last || d.mu.open[l.openAt] != l {
		return
	}
	moved := d.mu.open[last]
	d.mu.open[l.openAt], moved.openAt = moved, l.openAt
	d.mu.open[last] = nil
	d.mu.open = d.mu.open[:last]
}

func (d *Dir) allLogs() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Collect(maps.Values(d.mu.logs))
	slices.SortFunc(list, func(a, b *Log) int { return strings.Compare(a.folder, b.folder) })
	return list
}

// writeKafkaCheckpoints writes the three files for all folders, those that were not asked for included.
func (d *Dir) writeKafkaCheckpoints() error {
	var k kafkaCheckpoints
	d.readKafkaCheckpoints(&k) // lines of folders that nobody asked for are kept
	d.mu.Lock()
	for _, f := range k.files() {
		if *f.c == nil {
			*f.c = offsetCheckpoint{}
		}
		maps.DeleteFunc(*f.c, func(folder string, _ int64) bool { return !d.mu.folders[folder] })
	}
	d.mu.Unlock()
	for _, l := range d.allLogs() {
		if !l.onDisk() || l.topic == metadataTopic {
			continue
		}
		k.recoveryPoints[l.folder] = l.flushedTo.Load()
		k.highWatermarks[l.folder] = l.HighWatermark()
		if start := l.logStart.Load(); start > 0 {
			k.logStarts[l.folder] = start
		}
	}
	for _, f := range k.files() {
		if err := writeFile(d.fs, d.path(f.name), f.c.append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// Close stops all logs. A clean close flushes and trims them and leaves a directory whose next start scans nothing; otherwise the
// directory is left as a crash would leave it. Append, Read, Flush and the others must not be running any more. Jobs given to Go that
// have not ended yet return soon; their owner waits for them.
func (d *Dir) Close(clean bool) error {
	if d.closed.Swap(true) {
		return nil
	}
	how := closeAway
	if clean = clean && d.Err() == nil; clean {
		how = closeClean
		if len(d.openLogs()) > syncEach {
			how = closeLater
		}
	}
	var first error
	for _, l := range d.allLogs() {
		if err := l.shut(how); err != nil && first == nil {
			first = fmt.Errorf("%s: %w", l.folder, err)
		}
	}
	if how == closeLater && first == nil {
		first = d.finishAll()
	}
	if clean && first == nil && d.Err() == nil {
		first = d.markClean()
	}
	if err := d.table.file.Close(); first == nil {
		first = err
	}
	if err := d.lock.Close(); first == nil {
		first = err
	}
	if first == nil {
		first = d.Err()
	}
	return first
}

// syncEach is up to how many open logs are synced file by file at a clean stop. Beyond, one sync of the file system is faster; it may
// write other people's data too, which is why few logs do without.
const syncEach = 64

// finishAll makes all logs that were closed for later durable at once, and then their slots of the table say so.
func (d *Dir) finishAll() error {
	if err := d.fs.SyncFS(d.o.Path); err != nil {
		return d.fail(err)
	}
	for _, l := range d.allLogs() {
		if err := l.finish(); err != nil {
			return d.fail(err)
		}
	}
	return nil
}

// markClean makes the marker the last thing to appear: whoever sees it may trust everything else. A log whose end nobody looked at, or
// that is damaged, leaves the directory as a crash does; the slots of all the others are clean anyway.
func (d *Dir) markClean() error {
	if err := errors.Join(d.writeKafkaCheckpoints(), d.tidyCleaned()); err != nil {
		return err
	}
	for _, l := range d.allLogs() {
		if !l.exact() {
			return d.table.file.Sync()
		}
	}
	for folder := range d.mu.folders {
		if r, ok := d.mu.records[keyOf(folder)]; ok && !r.clean {
			return d.table.file.Sync()
		}
	}
	if err := d.fs.SyncDir(d.o.Path); err != nil {
		return err
	}
	d.table.mu.Lock()
	h := d.table.mu.header
	d.table.mu.Unlock()
	h.running = false
	if err := d.table.writeHeader(h); err != nil {
		return err
	}
	if err := writeFile(d.fs, d.path(cleanName), appendCleanMarker(nil, h.starts)); err != nil {
		return err
	}
	return d.fs.SyncDir(d.o.Path)
}
