package delivery

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// secretFile is a secret that is read again when its file has changed.
type secretFile struct {
	path string

	mu      sync.Mutex
	current []byte
	info    os.FileInfo // of the file when it was read
}

func openSecret(path string) (*secretFile, error) {
	s := &secretFile{path: path}
	_, err := s.read()
	return s, err
}

// ParseSecret takes the end of the line from a secret.
func ParseSecret(data []byte) ([]byte, error) {
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return nil, errors.New("must hold a secret")
	}
	return []byte(text), nil
}

// read returns the secret of the file. While the file cannot be read, or is empty because it is
// being written, the last one holds.
func (s *secretFile) read() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if err == nil && s.info != nil && os.SameFile(info, s.info) && info.ModTime().Equal(s.info.ModTime()) &&
		info.Size() == s.info.Size() {
		return s.current, nil
	}
	data, readErr := os.ReadFile(s.path)
	if err = errors.Join(err, readErr); err == nil {
		var secret []byte
		if secret, err = ParseSecret(data); err == nil {
			s.current, s.info = secret, info
		}
	}
	if err != nil && s.current == nil {
		return nil, fmt.Errorf("read secret %s: %w", s.path, err)
	}
	return s.current, nil
}
