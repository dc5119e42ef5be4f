package bench

import (
	"encoding/binary"
	"math/rand/v2"
)

// Bodies are cut into pieces of about this size, each of which is random bytes first and text then: runs that are long enough for
// a codec to find, and so short that a small value has its share of both.
const piece = 128

// text is what repeats. It is short enough to come again within every codec's reach, and not so short that only its period is seen.
const text = `{"time":"2024-05-17T08:31:59Z","level":"info","service":"checkout","region":"eu-west","message":"order accepted and handed over to ` +
	`the warehouse","customer":"returning","currency":"EUR","payment":"card","items":["blue kettle","spare filter","green tea, loose"],` +
	`"delivery":{"carrier":"bicycle","window":"between nine and noon","note":"please ring twice, the bell is quiet"},"retries":0} `

// values writes the bodies of values with a stated share of random bytes. It belongs to one goroutine.
type values struct {
	entropy float64
	source  *rand.PCG
	at      int     // in the text
	owed    float64 // random bytes, less than one: the share is kept over many pieces
}

// newValues is for an entropy between 0, all text, and 1, all random.
func newValues(entropy float64, source *rand.PCG) *values {
	return &values{entropy: entropy, source: source}
}

// Fill writes a whole body.
func (v *values) Fill(body []byte) {
	for pieces := (len(body) + piece - 1) / piece; pieces > 0; pieces-- {
		n := len(body) / pieces
		v.owed += v.entropy * float64(n)
		random := min(int(v.owed), n)
		v.owed -= float64(random)
		v.randomize(body[:random])
		v.write(body[random:n])
		body = body[n:]
	}
}

func (v *values) randomize(p []byte) {
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, v.source.Uint64())
	}
	if len(p) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], v.source.Uint64())
		copy(p, last[:])
	}
}

func (v *values) write(p []byte) {
	for len(p) > 0 {
		n := copy(p, text[v.at:])
		v.at = (v.at + n) % len(text)
		p = p[n:]
	}
}
