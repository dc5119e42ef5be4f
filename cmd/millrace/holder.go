package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portHolder finds the process that listens on a TCP port, through /proc. ok is false when it cannot be seen, as for another
// user's process.
func portHolder(port int) (pid int, command string, ok bool) {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range listeningInodes(table, port) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	if len(sockets) == 0 {
		return 0, "", false
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // what may not be read is left out
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !sockets[target] {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(fd, "/")[2])
		if err != nil {
			continue
		}
		return pid, commandLine(pid), true
	}
	return 0, "", false
}

// listeningInodes reads the kernel's table: local address is ADDRESS:PORT in hexadecimal, state 0A is LISTEN, the tenth column
// the socket's inode.
func listeningInodes(table string, port int) (inodes []string) {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		column := strings.Fields(lines.Text())
		if len(column) > 9 && strings.HasSuffix(column[1], suffix) && column[3] == "0A" {
			inodes = append(inodes, column[9])
		}
	}
	return inodes
}

func commandLine(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(text) == 0 {
		return "?"
	}
	line := strings.TrimSpace(strings.ReplaceAll(string(text), "\x00", " "))
	if runes := []rune(line); len(runes) > 60 {
		line = string(runes[:60]) + "..."
	}
	return line
}
