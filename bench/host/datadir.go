package host

import (
	"os"
	"path/filepath"
	"strconv"
)

// DataDir is the directory in which the first of the processes that has one keeps its records: a broker, Kafka as well as Millrace,
// holds a file .lock open in it. "" when there is none, or it is not ours to see.
func DataDir(pids []int) string {
	for _, pid := range pids {
		folder := "/proc/" + strconv.Itoa(pid) + "/fd/"
		files, _ := os.ReadDir(folder)
		for _, f := range files {
			if to, err := os.Readlink(folder + f.Name()); err == nil && filepath.Base(to) == ".lock" {
				if _, err := os.Stat(to); err == nil { // as we see it: a container's is elsewhere
					return filepath.Dir(to)
				}
			}
		}
	}
	return ""
}
