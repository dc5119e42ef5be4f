package bench

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/wire/record"
)

// What the dial means to each codec: bytes of the batch by bytes of the batch without a codec, for 64 values of 1000 bytes. The
// bodies are alone here; the 36 bytes of verification in front of each and the key come on top and compress partly.
func TestEntropyIsWhatCodecsMakeOfIt(t *testing.T) {
	const values, size = 64, 1000
	ratio := func(codec record.Codec, entropy float64) float64 {
		source := newValues(entropy, rand.NewPCG(1, 1))
		var plain, packed record.Builder
		plain.Reset(record.BuildOptions{})
		packed.Reset(record.BuildOptions{Codec: codec})
		value := make([]byte, size)
		for range values {
			source.Fill(value)
			plain.Add(0, nil, value)
			packed.Add(0, nil, value)
		}
		_, batch, err := packed.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		return float64(batch.Size()) / float64(plain.Size())
	}
	// At a half a perfect codec needs a half. The borders between text and noise cost the rest, and the more of it the less a
	// codec spends on them. Near the top a codec gives up and stores.
	half := map[record.Codec]float64{record.Zstd: 0.54, record.Gzip: 0.56, record.Snappy: 0.57, record.LZ4: 0.58}
	for codec, want := range half {
		last := 0.0
		for _, entropy := range []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 1} {
			r := ratio(codec, entropy)
			t.Logf("%-6s entropy %.2f: %.3f", codec, entropy, r)
			if r < last || r == last && entropy < 0.9 {
				t.Errorf("%s: a ratio of %.3f at entropy %v, after %.3f for less", codec, r, entropy, last)
			}
			last = r
			switch entropy {
			case 0:
				if r > 0.1 {
					t.Errorf("%s: text alone is compressed to %.3f only", codec, r)
				}
			case 0.5:
				if math.Abs(r-want) > 0.02 {
					t.Errorf("%s: half random is compressed to %.3f, want %.2f", codec, r, want)
				}
			case 1:
				if r < 0.98 {
					t.Errorf("%s: random bytes are compressed to %.3f", codec, r)
				}
			}
		}
	}
}

// The share is kept for bodies of any length, shorter ones together.
func TestEntropyIsTheShareOfRandomBytes(t *testing.T) {
	inText := map[byte]bool{}
	for i := range len(text) {
		inText[text[i]] = true
	}
	for _, size := range []int{1, 5, 63, 64, 65, 1000} {
		const bytes = 1_000_000
		v := newValues(0.3, rand.NewPCG(9, 9))
		body, strange, total := make([]byte, size), 0, 0
		for total < bytes {
			v.Fill(body)
			for _, b := range body {
				if !inText[b] {
					strange++
				}
			}
			total += size
		}
		share := float64(strange) / float64(total) / (1 - float64(len(inText))/256) // a random byte may be one of the text's
		if share < 0.295 || share > 0.305 {
			t.Errorf("bodies of %d bytes: %.4f of the bytes are random, want 0.3", size, share)
		}
	}
}
