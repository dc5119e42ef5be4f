package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// keySize is the length of every key: pre-encoded records leave this much room.
const keySize = 16

const mostKeys = 1_000_000_000_000

// keys draws the number of a record's key; nil: records have no keys.
type keys func() uint64

// newKeys reads Spec.Keys: none, uniform:N, zipf:N:S. Under zipf the number is the rank, the likeliest is 0.
func newKeys(s Spec, random *rand.Rand) (keys, error) {
	kind, rest, _ := strings.Cut(s.Keys, ":")
	number, exponent, skewed := strings.Cut(rest, ":")
	switch {
	case s.Keys == "none":
		return nil, nil
	case kind != "uniform" && kind != "zipf", skewed != (kind == "zipf"):
		return nil, fmt.Errorf("keys %q: want none, uniform:N or zipf:N:S", s.Keys)
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n < 1 || n > mostKeys {
		return nil, fmt.Errorf("keys %q: the number of keys must be between 1 and %d, without a unit", s.Keys, mostKeys)
	}
	if kind == "uniform" {
		return func() uint64 { return random.Uint64N(n) }, nil
	}
	skew, err := strconv.ParseFloat(exponent, 64)
	if err != nil || !(skew > 0 && skew <= 10) {
		return nil, fmt.Errorf("keys %q: the exponent must be above 0 and at most 10; 0.99 is usual, and without skew there is uniform:%d", s.Keys, n)
	}
	z := newZipf(n, skew)
	return func() uint64 { return z.draw(random) }, nil
}

// appendKey writes the key with a number: sixteen hexadecimal digits.
func appendKey(dst []byte, number uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[number>>shift&15])
	}
	return dst
}
