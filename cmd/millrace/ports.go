package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// ports is the content of the ports file.
type ports struct {
	Kafka string `json:"kafka"`
	Admin string `json:"admin,omitempty"` // "": it is off
	PID   int    `json:"pid"`
}

// readPorts returns the address in a ports file, when there is one.
func readPorts(file string) (kafka string, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	var p ports
	return p.Kafka, json.Unmarshal(text, &p) == nil && p.Kafka != ""
}

// write writes the file in one step: who sees it can read all of it, and connect.
func (p ports) write(file string) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	partial := fmt.Sprintf("%s.%d.tmp", file, os.Getpid())
	if err := os.WriteFile(partial, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("ports file: %w", err)
	}
	if err := os.Rename(partial, file); err != nil {
		return fmt.Errorf("ports file: %w", err)
	}
	return nil
}
