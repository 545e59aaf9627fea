package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// kept is what a demo has running, in running.json: with KEEP=1 make stop stops it; the next demo stops what a killed one has left.
type kept struct {
	Processes []keptProcess
	// Temporary is a folder outside of the demo's to be deleted.
	Temporary string
}

type keptProcess struct {
	Name string
	PID  int
	// Began tells the process from a later one with the same id.
	Began string
}

const keptFile = "running.json"

func (s *stage) remember() error {
	left := kept{Temporary: s.temporary}
	for _, name := range s.names {
		pid := s.processes[name].Process.Pid
		left.Processes = append(left.Processes, keptProcess{Name: name, PID: pid, Began: began(pid)})
	}
	data, err := json.MarshalIndent(left, "", "  ")
	if err != nil {
		return fmt.Errorf("write down what is running: %w", err)
	}
	return os.WriteFile(filepath.Join(s.folder, keptFile), data, 0o644)
}

// began is when a process started, in the kernel's ticks; "" when there is none, or it is over and only waits to be collected.
func began(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, in brackets, may hold spaces. After it: state, and the start time as the 20th field.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// stopKept stops what an earlier demo has left running, in the reverse order of its start; no such demo is no error.
func stopKept(folder string) error {
	data, err := os.ReadFile(filepath.Join(folder, keptFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var left kept
	if err == nil {
		err = json.Unmarshal(data, &left)
	}
	if err != nil {
		return fmt.Errorf("read what is running: %w", err)
	}
	for i := len(left.Processes) - 1; i >= 0; i-- {
		p := left.Processes[i]
		running := func() bool { return p.Began != "" && began(p.PID) == p.Began }
		if !running() {
			continue
		}
		say("stopping %s (process %d)", p.Name, p.PID)
		_ = syscall.Kill(p.PID, gently(p.Name))
		for deadline := time.Now().Add(10 * time.Second); running(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				_ = syscall.Kill(-p.PID, syscall.SIGKILL)
			}
		}
	}
	if left.Temporary != "" {
		if err := os.RemoveAll(left.Temporary); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(folder, keptFile))
}
