package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// goSource finds the source of the Go installation.
func goSource(ctx context.Context) (string, error) {
	root := os.Getenv("GOROOT")
	if root == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err == nil {
			root = strings.TrimSpace(string(out))
		}
	}
	if root != "" {
		src := filepath.Join(root, "src")
		if info, err := os.Stat(src); err == nil && info.IsDir() {
			return src, nil
		}
	}
	return "", &failure{exitFailed, "input", "there is no Go installation whose source could be the input", "--input PATH takes a file or a directory with text files"}
}

// fileSystem names what the data lies on: an fsync costs nothing on some.
func fileSystem(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return "an unknown file system"
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs (memory)",
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.F2FS_SUPER_MAGIC: "f2fs", unix.NFS_SUPER_MAGIC: "nfs",
	}
	if name, ok := names[s.Type]; ok {
		return name
	}
	return fmt.Sprintf("file system %#x", s.Type)
}
