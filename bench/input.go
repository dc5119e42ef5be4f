package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLine is where longer lines are cut: a record must fit into a batch of message.max.bytes.
const maxLine = 256 << 10

// Input is a set of text files that are read line by line: one line is a record's value, the path of its file is its key.
type Input struct {
	Root  string
	Bytes int64 // of the files, as they were when the input was opened
	files []inputFile
}

type inputFile struct {
	path string
	key  []byte
	size int64 // when the input was opened
}

// OpenInput takes a file, or every text file below a directory in the order of their names.
func OpenInput(root string) (*Input, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	in := &Input{Root: root}
	if !info.IsDir() {
		in.files, in.Bytes = []inputFile{{root, []byte(filepath.Base(root)), info.Size()}}, info.Size()
		return in, nil
	}
	root = strings.TrimSuffix(root, string(filepath.Separator)) + string(filepath.Separator) // follows a link at the root
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := isText(path)
		if err != nil || !text {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		in.files = append(in.files, inputFile{path, []byte(filepath.ToSlash(name)), info.Size()})
		in.Bytes += info.Size()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(in.files) == 0 {
		return nil, fmt.Errorf("no text files in %s", root)
	}
	slices.SortFunc(in.files, func(a, b inputFile) int { return bytes.Compare(a.key, b.key) })
	return in, nil
}

// Files is the number of files.
func (in *Input) Files() int { return len(in.files) }

// isText looks for a zero byte at the file's beginning, as diff and grep do.
func isText(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var head [4096]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return n > 0 && bytes.IndexByte(head[:n], 0) < 0, nil
}

// Each calls yield with every record in order, until one of them fails. Keys and values stay valid and must not be changed.
func (in *Input) Each(yield func(key, value []byte) error) error {
	for _, file := range in.files {
		if err := file.each(yield); err != nil {
			return err
		}
	}
	return nil
}

// readBlock is how much of a file is read at a time: a log of many gigabytes is an input too.
const readBlock = 1 << 20

func (f *inputFile) each(yield func(key, value []byte) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	var text []byte // the line whose end has not been read yet
	for more := true; more; {
		block := make([]byte, len(text)+int(min(f.size+1, readBlock))) // records are views of it: never used again
		n, err := io.ReadFull(file, block[copy(block, text):])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
		more = err == nil
		text = block[:len(text)+n]
		for len(text) > 0 {
			var line []byte
			if end := bytes.IndexByte(text, '\n'); end >= 0 && end <= maxLine {
				line, text = text[:end:end], text[end+1:]
			} else if len(text) > maxLine {
				line, text = text[:maxLine:maxLine], text[maxLine:]
			} else if more {
				break
			} else {
				line, text = text, nil
			}
			if err := yield(f.key, line); err != nil {
				return err
			}
		}
	}
	return nil
}
