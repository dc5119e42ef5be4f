package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// keySize is how many bytes each key has: "key" and thirteen digits.
const keySize = 16

const mostKeys = 1_000_000_000_000

// keys is a distribution of keys. It does not change: many goroutines may draw, each with a source of its own.
type keys struct {
	n    int64 // how many there are; 0: records have none
	zipf *zipf // nil: each is as likely as the next
}

// parseKeys reads none, uniform:N, or zipf:N:S.
func parseKeys(text string) (*keys, error) {
	kind, rest, _ := strings.Cut(text, ":")
	number, exponent, skewed := strings.Cut(rest, ":")
	switch {
	case text == "none":
		return &keys{}, nil
	case kind != "uniform" && kind != "zipf", skewed != (kind == "zipf"):
		return nil, fmt.Errorf("keys %q: want none, uniform:N or zipf:N:S", text)
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > mostKeys {
		return nil, fmt.Errorf("keys %q: the number of keys must be between 1 and %d, without a unit", text, mostKeys)
	}
	if kind == "uniform" {
		return &keys{n: n}, nil
	}
	s, err := strconv.ParseFloat(exponent, 64)
	if err != nil || !(s > 0 && s <= 10) {
		return nil, fmt.Errorf("keys %q: the exponent must be above 0 and at most 10; 0.99 is usual, and without skew there is uniform:%d", text, n)
	}
	return &keys{n: n, zipf: newZipf(n, s)}, nil
}

// None reports whether records have no key.
func (k *keys) None() bool { return k.n == 0 }

// Draw appends the next record's key. Without keys it appends nothing.
func (k *keys) Draw(dst []byte, r *rand.Rand) []byte {
	var i int64
	switch {
	case k.n == 0:
		return dst
	case k.zipf != nil:
		i = k.zipf.draw(r)
	default:
		i = r.Int64N(k.n)
	}
	dst = append(dst, "key0000000000000"...)
	for at := len(dst) - 1; i > 0; at-- {
		dst[at] = byte('0' + i%10)
		i /= 10
	}
	return dst
}
