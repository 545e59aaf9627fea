package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// spill keeps rows in files, oldest first: JSON lines, a file per part of the bound. Only the flusher uses it.
type spill struct {
	folder string
	most   int64
	// known tells that the folder has been looked at: rows of an earlier run of this process may be there.
	known bool
	files []segment
	next  int
}

type segment struct {
	path string
	size int64
	rows int
}

// segments is into how many files the bound is divided: the oldest one is what is dropped at a time.
const segments = 16

func (s *spill) look() error {
	if s.known {
		return nil
	}
	paths, err := filepath.Glob(filepath.Join(s.folder, "*.jsonl"))
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("look at spilled ledger rows: %w", err)
		}
		s.files = append(s.files, segment{path: path, size: int64(len(data)), rows: bytes.Count(data, []byte("\n"))})
		if _, err := fmt.Sscanf(filepath.Base(path), "%012d.jsonl", &s.next); err == nil {
			s.next++
		}
	}
	s.known = true
	return nil
}

// write appends rows, and tells how many old ones were dropped for them.
func (s *spill) write(rows []*Row) (dropped int, err error) {
	if err := s.look(); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return 0, fmt.Errorf("spill ledger rows: %w", err)
	}
	for len(rows) > 0 {
		var text bytes.Buffer
		n := 0
		encoder := json.NewEncoder(&text)
		for n < len(rows) && int64(text.Len()) < s.most/segments {
			if err := encoder.Encode(rows[n]); err != nil {
				return dropped, fmt.Errorf("spill ledger rows: %w", err)
			}
			n++
		}
		if err := s.append(text.Bytes(), n); err != nil {
			return dropped, fmt.Errorf("spill ledger rows: %w", err)
		}
		rows = rows[n:]
		for s.size() > s.most && len(s.files) > 1 {
			dropped += s.files[0].rows
			if err := os.Remove(s.files[0].path); err != nil {
				return dropped, fmt.Errorf("drop spilled ledger rows: %w", err)
			}
			s.files = s.files[1:]
		}
	}
	return dropped, nil
}

func (s *spill) size() int64 {
	var sum int64
	for _, f := range s.files {
		sum += f.size
	}
	return sum
}

// append writes to the newest file while that is small, or begins another.
func (s *spill) append(text []byte, rows int) error {
	if n := len(s.files); n == 0 || s.files[n-1].size+int64(len(text)) > s.most/segments {
		s.files = append(s.files, segment{path: filepath.Join(s.folder, fmt.Sprintf("%012d.jsonl", s.next))})
		s.next++
	}
	last := &s.files[len(s.files)-1]
	file, err := os.OpenFile(last.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	last.size += int64(len(text))
	last.rows += rows
	return errors.Join(err, file.Close())
}

// oldest reads the oldest file; done deletes it. Without a file rows is nil. A line that was cut short by a crash is left out.
func (s *spill) oldest() (rows []*Row, done func() error, err error) {
	if err := s.look(); err != nil || len(s.files) == 0 {
		return nil, nil, err
	}
	data, err := os.ReadFile(s.files[0].path)
	if err != nil {
		return nil, nil, fmt.Errorf("read spilled ledger rows: %w", err)
	}
	rows = []*Row{}
	lines := bufio.NewReader(bytes.NewReader(data))
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		row := &Row{}
		if json.Unmarshal(line, row) == nil {
			rows = append(rows, row)
		}
	}
	return rows, func() error {
		path := s.files[0].path
		s.files = s.files[1:]
		return os.Remove(path)
	}, nil
}

// close removes the folder when nothing is left in it.
func (s *spill) close() error {
	if len(s.files) == 0 && s.known {
		if err := os.Remove(s.folder); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
