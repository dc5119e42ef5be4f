package bench

import (
	"encoding/binary"
	"math/rand/v2"
)

// A body is cut into pieces of about this size, each of which is random bytes first and text then: runs that are long enough for a
// codec to find, and so short that a small value has its share of both.
const piece = 128

// text is what repeats. It is short enough to come again within every codec's reach, and not so short that only its period is seen.
const text = `{"time":"2024-05-17T08:31:59Z","level":"info","service":"checkout","region":"eu-west","message":"order accepted and handed over to ` +
	`the warehouse","customer":"returning","currency":"EUR","payment":"card","items":["blue kettle","spare filter","green tea, loose"],` +
	`"delivery":{"carrier":"bicycle","window":"between nine and noon","note":"please ring twice, the bell is quiet"},"retries":0} `

// fillValue writes the body of a value, of which that share is random and the rest repeats.
func fillValue(body []byte, entropy float64, random *rand.Rand) {
	owed := random.Float64() // of a byte: what a piece's share falls short of whole ones, many bodies make up
	at := random.IntN(len(text))
	for pieces := (len(body) + piece - 1) / piece; pieces > 0; pieces-- {
		n := len(body) / pieces
		owed += entropy * float64(n)
		noise := min(int(owed), n)
		owed -= float64(noise)
		fillRandom(body[:noise], random)
		for p := body[noise:n]; len(p) > 0; {
			k := copy(p, text[at:])
			at = (at + k) % len(text)
			p = p[k:]
		}
		body = body[n:]
	}
}

func fillRandom(p []byte, random *rand.Rand) {
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, random.Uint64())
	}
	for last := random.Uint64(); len(p) > 0; last >>= 8 {
		p[0] = byte(last)
		p = p[1:]
	}
}
