package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a client asks for is refused in Kafka's words, one mistake at a time: tools compare them. Files are refused in ours (check).

// refusal tells in Kafka's words why a setting cannot have a value, or "" when it can.
func (s *Setting) refusal(text string) string {
	invalid := func(value, why string) string {
		return fmt.Sprintf("Invalid value %s for configuration %s: %s", value, s.Name, why)
	}
	trimmed := strings.TrimSpace(text)
	switch s.Type {
	case Boolean:
		if !strings.EqualFold(trimmed, "true") && !strings.EqualFold(trimmed, "false") {
			return invalid(text, "Expected value to be either true or false")
		}
	case Int, Short, Long:
		bits := map[Type]int{Short: 16, Int: 32, Long: 64}[s.Type]
		n, err := strconv.ParseInt(trimmed, 10, bits)
		if err != nil {
			return invalid(text, "Not a number of type "+s.Type.String())
		}
		if why := s.outside(n); why != "" {
			if strings.HasPrefix(why, "requirement") {
				return why
			}
			return invalid(strconv.FormatInt(n, 10), why)
		}
	case Double:
		f, err := strconv.ParseFloat(trimmed, 64)
		switch {
		case err != nil || f != f:
			return invalid(text, "Not a number of type DOUBLE")
		case s.Min != minLong && f < float64(s.Min):
			return invalid(javaDouble(f), fmt.Sprintf("Value must be at least %d", s.Min))
		case s.Max != maxLong && f > float64(s.Max):
			return invalid(javaDouble(f), fmt.Sprintf("Value must be no more than %d", s.Max))
		}
	case List:
		if message := s.badItem(trimmed); message != "" {
			return message
		}
	case String:
		if _, bad := parseAddresses(text); s.Name == perAddress && bad != "" {
			return fmt.Sprintf("Error parsing configuration property '%s': %q is not an address and a number", s.Name, bad)
		}
		if s.OneOf != nil && !slices.ContainsFunc(s.OneOf, func(one string) bool {
			return one == trimmed || s.AnyCase && strings.EqualFold(one, trimmed)
		}) {
			return invalid(text, "String must be one of: "+strings.Join(s.OneOf, ", "))
		}
	}
	if s.Support == Refused && !strings.EqualFold(trimmed, s.Default) && (trimmed != "" || !s.Null) {
		if s.Name == "remote.storage.enable" {
			return "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
		}
		return invalid(text, s.Why)
	}
	return ""
}

// outside tells what is wrong with a number that is no value of the setting.
func (s *Setting) outside(n int64) string {
	if n >= s.Min && n <= s.Max && (n != 0 || !s.NonZero) {
		return ""
	}
	switch s.Name { // Kafka looks at these only when it builds a broker of all settings
	case "log.retention.ms":
		return "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1"
	case "log.roll.ms", "log.roll.jitter.ms":
		return fmt.Sprintf("requirement failed: %s must be greater than or equal to %d", s.Name, s.Min)
	}
	switch {
	case s.NonZero && s.Min == -1:
		return fmt.Sprintf("Value must be between 1 and %d or equal to -1", s.Max)
	case n < s.Min:
		return fmt.Sprintf("Value must be at least %d", s.Min)
	}
	return fmt.Sprintf("Value must be no more than %d", s.Max)
}

var throttled = regexp.MustCompile(`^[0-9]+:[0-9]+$`)

// badItem tells what is wrong with a list.
func (s *Setting) badItem(text string) string {
	if text == "" {
		return ""
	}
	items := strings.Split(text, ",")
	for i := range items {
		if items[i] = strings.TrimSpace(items[i]); items[i] == "" {
			return fmt.Sprintf("Configuration '%s' values must not be empty.", s.Name)
		}
		if s.OneOf != nil && !slices.Contains(s.OneOf, items[i]) {
			return fmt.Sprintf("Invalid value %s for configuration %s: String must be one of: %s", items[i], s.Name, strings.Join(s.OneOf, ", "))
		}
	}
	if strings.HasSuffix(s.Name, ".replication.throttled.replicas") && text != "*" {
		for _, item := range items {
			if !throttled.MatchString(item) {
				return fmt.Sprintf("Invalid value [%s] for configuration %s: %s must be the literal '*' or a list of replicas in the following format: "+
					"[partitionId]:[brokerId],[partitionId]:[brokerId],...", strings.Join(items, ", "), s.Name, s.Name)
			}
		}
	}
	return ""
}

// String is Kafka's name of the type.
func (t Type) String() string {
	return [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}[t]
}

// shown is a valid value as Kafka writes it after it has read it.
func (s *Setting) shown(text string) string {
	trimmed := strings.TrimSpace(text)
	switch s.Type {
	case Boolean:
		return strings.ToLower(trimmed)
	case Int, Short, Long:
		if n, err := strconv.ParseInt(trimmed, 10, 64); err == nil {
			return strconv.FormatInt(n, 10)
		}
	case Double:
		if f, err := strconv.ParseFloat(trimmed, 64); err == nil {
			return javaDouble(f)
		}
	case List:
		var items []string
		for _, item := range splitList(trimmed) {
			if s.OneOf == nil || !slices.Contains(items, item) {
				items = append(items, item)
			}
		}
		return strings.Join(items, ",")
	}
	return trimmed
}

// javaDouble writes a number as Java does.
func javaDouble(f float64) string {
	if size := math.Abs(f); f == 0 || size >= 1e-3 && size < 1e7 {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(digits, ".") {
		digits += ".0"
	}
	n, err := strconv.Atoi(exponent)
	if err != nil {
		return digits // an infinity
	}
	return digits + "E" + strconv.Itoa(n)
}

// refuseTopic tells in Kafka's words what is wrong with one setting of a topic.
func refuseTopic(name, text string) error {
	message := "Unknown topic config name: " + name
	if s := lookup(Topic, name); s != nil {
		message = s.refusal(text)
	}
	return refused(message)
}

// refused is the error of a message; nil of none.
func refused(message string) error {
	if message == "" {
		return nil
	}
	return errors.New(message)
}
