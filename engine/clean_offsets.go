package engine

import (
	"errors"
	"io/fs"
	"sync"
)

// cleanerOffsetsName is Kafka's file of how far each log was cleaned.
const cleanerOffsetsName = "cleaner-offset-checkpoint"

// cleanOffsets says of each log up to where it was compacted. It must never say more than was done: below it a tombstone is dropped without a look
// for older records of its key. So it is durable before what relies on it, and what lowers it (truncation, removal) is durable before anything is
// appended there again.
type cleanOffsets struct {
	sync.Mutex // held over the file
	loaded     bool
	offsets    offsetCheckpoint // by folder
	gone       map[string]bool  // folders that are gone, whose line may still be in the file
}

// load reads the file when it is first needed. Holds the mutex.
func (c *cleanOffsets) load(d *Dir) error {
	if c.loaded {
		return nil
	}
	b, err := readFile(d.fs, d.path(cleanerOffsetsName))
	if err == nil {
		c.offsets, err = parseOffsetCheckpoint(b)
		if err != nil {
			d.o.Log.Warn("checkpoint ignored", "file", cleanerOffsetsName, "err", err)
			err = nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if c.offsets == nil {
		c.offsets = offsetCheckpoint{}
	}
	c.loaded = true
	return nil
}

// write makes the file durable. Holds the mutex.
func (c *cleanOffsets) write(d *Dir) error {
	if err := writeFile(d.fs, d.path(cleanerOffsetsName), c.offsets.append(nil)); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.o.Path); err != nil {
		return err
	}
	c.gone = nil
	return nil
}

// cleanedTo is up to where a log was cleaned; not ok when it never was.
func (d *Dir) cleanedTo(folder string) (offset int64, ok bool, err error) {
	c := &d.cleaned
	c.Lock()
	defer c.Unlock()
	if err := c.load(d); err != nil {
		return 0, false, err
	}
	offset, ok = c.offsets[folder]
	return offset, ok, nil
}

// setCleaned notes durably how far a log was cleaned.
func (d *Dir) setCleaned(folder string, offset int64) error {
	c := &d.cleaned
	c.Lock()
	defer c.Unlock()
	if err := c.load(d); err != nil {
		return err
	}
	if was, ok := c.offsets[folder]; ok && was == offset {
		return nil
	}
	c.offsets[folder] = offset
	return c.write(d)
}

// lowerCleaned sees to it, durably, that nothing from offset on counts as cleaned.
func (d *Dir) lowerCleaned(folder string, offset int64) error {
	c := &d.cleaned
	c.Lock()
	defer c.Unlock()
	if err := c.load(d); err != nil {
		return err
	}
	if was, ok := c.offsets[folder]; !ok || was <= offset {
		return nil
	}
	c.offsets[folder] = offset
	return c.write(d)
}

// forgetCleaned takes the line of a folder that is gone away. The file follows before another folder of that name appears.
func (d *Dir) forgetCleaned(folder string) error {
	c := &d.cleaned
	c.Lock()
	defer c.Unlock()
	if err := c.load(d); err != nil {
		return err
	}
	if _, ok := c.offsets[folder]; ok {
		delete(c.offsets, folder)
		if c.gone == nil {
			c.gone = map[string]bool{}
		}
		c.gone[folder] = true
	}
	return nil
}

// beginUncleaned is called before a folder appears: what the file may say of an earlier one of its name goes first, durably.
func (d *Dir) beginUncleaned(folder string) error {
	if err := d.forgetCleaned(folder); err != nil {
		return err
	}
	c := &d.cleaned
	c.Lock()
	defer c.Unlock()
	if !c.gone[folder] {
		return nil
	}
	return c.write(d)
}

// tidyCleaned brings the file up to date at a clean stop.
func (d *Dir) tidyCleaned() error {
	c := &d.cleaned
	c.Lock()
	defer c.Unlock()
	if len(c.gone) == 0 {
		return nil
	}
	return c.write(d)
}
