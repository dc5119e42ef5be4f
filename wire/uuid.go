package wire

import (
	"encoding/base64"
	"fmt"
)

// UUID is a topic, directory or incarnation id. The zero UUID means "none" everywhere in the protocol.
type UUID [16]byte

// String is Kafka's form: URL-safe base64 without padding, 22 characters.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// IsZero tells whether u names nothing.
func (u UUID) IsZero() bool { return u == UUID{} }

// AppendText implements encoding.TextAppender.
func (u UUID) AppendText(dst []byte) ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(dst, u[:]), nil
}

// MarshalText implements encoding.TextMarshaler: JSON output shows ids as Kafka's tools do.
func (u UUID) MarshalText() ([]byte, error) { return u.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *UUID) UnmarshalText(text []byte) error {
	parsed, err := ParseUUID(string(text))
	if err == nil {
		*u = parsed
	}
	return err
}

// ParseUUID reads the form String writes. Padding, which some tools add, is accepted.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	text := s
	if len(text) == 24 && text[22:] == "==" {
		text = text[:22]
	}
	if len(text) != 22 {
		return u, fmt.Errorf("%q is not an id: want 22 characters of URL-safe base64", s)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(u) {
		return u, fmt.Errorf("%q is not an id: want 22 characters of URL-safe base64", s)
	}
	copy(u[:], raw)
	return u, nil
}
