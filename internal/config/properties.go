package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// property is one key and value of a properties file, and the line its key begins on.
type property struct {
	key, value string
	line       int
}

// parseProperties reads the format of Java's Properties.load, as UTF-8:
//
//	# comment            ! comment
//	key=value            key: value           key value
//	key = a value that goes \
//	      on                                  spaces in front of a line do not count
//	key\ with\ spaces = \t \n \r \f \u00e9 \\ any other character after a backslash is itself
//
// Every mistake is reported; the other lines are still read.
func parseProperties(text string) (list []property, mistakes []lineError) {
	text = strings.TrimPrefix(text, "\ufeff")
	for line, rest := 1, text; rest != ""; {
		first := line
		var logical string
		logical, rest, line = logicalLine(rest, line)
		if logical == "" {
			continue
		}
		if !utf8.ValidString(logical) {
			mistakes = append(mistakes, lineError{first, "not UTF-8 text; write other characters as \\uXXXX"})
			continue
		}
		rawKey, rawValue := splitProperty(logical)
		key, err := unescape(rawKey)
		if err == nil {
			var value string
			if value, err = unescape(rawValue); err == nil {
				list = append(list, property{key, value, first})
				continue
			}
		}
		mistakes = append(mistakes, lineError{first, err.Error()})
	}
	return list, mistakes
}

type lineError struct {
	line    int
	message string
}

// logicalLine cuts the next line with its continuations off text. Comments and blank lines come back empty: a comment is not
// continued, whatever it ends in.
func logicalLine(text string, line int) (logical, rest string, next int) {
	logical, rest, next = naturalLine(text, line)
	logical = strings.TrimLeft(logical, " \t\f")
	if logical == "" || logical[0] == '#' || logical[0] == '!' {
		return "", rest, next
	}
	if !endsInBackslash(logical) {
		return logical, rest, next
	}
	var joined strings.Builder
	part := logical
	for endsInBackslash(part) && rest != "" {
		joined.WriteString(part[:len(part)-1])
		part, rest, next = naturalLine(rest, next)
		part = strings.TrimLeft(part, " \t\f")
	}
	if endsInBackslash(part) { // the text ends here
		part = part[:len(part)-1]
	}
	joined.WriteString(part)
	return joined.String(), rest, next
}

func naturalLine(text string, line int) (natural, rest string, next int) {
	end := strings.IndexAny(text, "\r\n")
	if end < 0 {
		return text, "", line + 1
	}
	skip := 1
	if strings.HasPrefix(text[end:], "\r\n") {
		skip = 2
	}
	return text[:end], text[end+skip:], line + 1
}

// endsInBackslash reports whether the last character is a backslash that no other one escapes.
func endsInBackslash(s string) bool {
	n := len(s) - len(strings.TrimRight(s, "\\"))
	return n%2 == 1
}

// splitProperty cuts at the first =, colon or blank that is not escaped; blanks around one = or colon belong to neither side.
func splitProperty(s string) (key, value string) {
	end := len(s)
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		} else if strings.IndexByte("=: \t\f", s[i]) >= 0 {
			end = i
			break
		}
	}
	key, value = s[:end], strings.TrimLeft(s[end:], " \t\f")
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], " \t\f")
	}
	return key, value
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if i+4 >= len(s) {
				return "", fmt.Errorf(`\u must be followed by four hexadecimal digits`)
			}
			n, err := strconv.ParseUint(s[i+1:i+5], 16, 16)
			if err != nil {
				return "", fmt.Errorf(`\u must be followed by four hexadecimal digits (got %q)`, s[i+1:i+5])
			}
			b.WriteRune(rune(n)) // half of a surrogate pair becomes U+FFFD: no setting needs one
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
