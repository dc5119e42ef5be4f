package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxValue bounds what a client's value can cost; it is Kafka's limit too.
const maxValue = 32767

// check reports what is wrong with a value: nil when nothing is. Blanks around the value do not count.
func (s *Setting) check(text string) error {
	if len(text) > maxValue {
		return fmt.Errorf("too long (got %d bytes, allowed %d)", len(text), maxValue)
	}
	text = strings.TrimSpace(text)
	if s.Support == Refused && !strings.EqualFold(text, s.Default) && (text != "" || !s.Null) {
		return fmt.Errorf("not supported: %s (got %q, allowed %q)", s.Why, text, s.Default)
	}
	switch s.Type {
	case Boolean:
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			return fmt.Errorf("not a truth value (got %q, allowed true or false)", text)
		}
	case Int, Short, Long:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("not a whole number (got %q, allowed %s)", text, s.Allowed())
		}
		if n < s.Min || n > s.Max || n == 0 && s.NonZero {
			return fmt.Errorf("out of range (got %s, allowed %s)", text, s.Allowed())
		}
	case Double:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != f {
			return fmt.Errorf("not a number (got %q, allowed %s)", text, s.Allowed())
		}
		if s.Min != minLong && f < float64(s.Min) || s.Max != maxLong && f > float64(s.Max) {
			return fmt.Errorf("out of range (got %s, allowed %s)", text, s.Allowed())
		}
	case List:
		seen := map[string]bool{}
		for _, item := range splitList(text) {
			if s.OneOf != nil && !slices.Contains(s.OneOf, item) {
				return fmt.Errorf("not one of its values (got %q, allowed any of %s)", item, s.Allowed())
			}
			if seen[item] {
				return fmt.Errorf("named twice (got %q)", item)
			}
			seen[item] = true
		}
	case String:
		if _, bad := parseAddresses(text); s.Name == perAddress && bad != "" {
			return fmt.Errorf("not an address and a number (got %q, allowed address:number,address:number)", bad)
		}
		if s.OneOf != nil && !slices.ContainsFunc(s.OneOf, func(one string) bool {
			return one == text || s.AnyCase && strings.EqualFold(one, text)
		}) {
			return fmt.Errorf("not one of its values (got %q, allowed %s)", text, s.Allowed())
		}
	}
	return nil
}

// Allowed describes the values the setting takes, for messages and documents; empty when every text will do.
func (s *Setting) Allowed() string {
	switch s.Type {
	case Boolean:
		return "true or false"
	case Int, Short, Long, Double:
		bound := func(n int64) string {
			if s.Type == Double && (n == minLong || n == maxLong) {
				return ""
			}
			return strconv.FormatInt(n, 10)
		}
		limits := strings.TrimSpace(bound(s.Min) + " ... " + bound(s.Max))
		if s.NonZero {
			limits += " except 0"
		}
		return limits
	}
	return strings.Join(s.OneOf, ", ")
}

// splitList splits at commas; \, is a comma.
func splitList(text string) []string {
	var items []string
	var item strings.Builder
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ',':
			if one := strings.TrimSpace(item.String()); one != "" {
				items = append(items, one)
			}
			item.Reset()
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ',':
			i++
			item.WriteByte(',')
		default:
			item.WriteByte(text[i])
		}
	}
	return items
}

// suggest returns the name that was probably meant, or "".
func suggest(name string, tables ...[]Setting) string {
	best, distance := "", max(2, len(name)/5)+1
	for _, table := range tables {
		for i := range table {
			if d := editDistance(name, table[i].Name, distance); d < distance {
				best, distance = table[i].Name, d
			}
		}
	}
	return best
}

// editDistance is the number of characters to insert, delete, replace or swap; limit when it is that or more.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(last[j]+1, next[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, last, next = last, next, before
	}
	return min(last[len(b)], limit)
}
