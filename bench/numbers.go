package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Limits of a file of numbers.
const (
	longestNumbers = 10_000_000 // lines
	longestNumber  = 64         // bytes of a line
)

// readNumbers reads a file with one number a line. Empty lines and lines that begin with # are passed over.
func readNumbers(what, path string) ([]float64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s file: %w", what, err)
	}
	defer file.Close()
	var numbers []float64
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 4096), 4096)
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s file %s, line %d: %.*q is not a number; give one a line", what, path, n, longestNumber, text)
		}
		if len(numbers) == longestNumbers {
			return nil, fmt.Errorf("%s file %s has more than %d numbers; give a part of it", what, path, longestNumbers)
		}
		numbers = append(numbers, x)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errors.New("a line of more than 4096 bytes; give one number a line")
		}
		return nil, fmt.Errorf("%s file %s, line %d: %w", what, path, n+1, err)
	}
	if len(numbers) == 0 {
		return nil, fmt.Errorf("%s file %s is empty; give at least one number, one a line", what, path)
	}
	return numbers, nil
}
