package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The table knows every key's last offset, whatever its size, and says when it is full without forgetting anything.
func TestKeyTable(t *testing.T) {
	for _, memory := range []int64{1, 100, 5_000, 200_000, 1 << 20, 8 << 20} {
		for _, load := range []float64{0.5, 0.9, 1} {
			table := keyTable{seed: 12345}
			table.reset(memory, load)
			want := map[string]int64{}
			r := rand.New(rand.NewPCG(uint64(memory), 3))
			full := false
			for offset := range int64(100_000) {
				key := fmt.Sprint("key-", r.IntN(60_000))
				if !table.put([]byte(key), offset) {
					full = true
					if _, known := want[key]; known {
						t.Fatalf("%d bytes, load %v: full for a key it knows", memory, load)
					}
					break
				}
				want[key] = offset
				if table.latest != offset {
					t.Fatalf("latest %d after %d", table.latest, offset)
				}
			}
			if int64(len(table.slots))*keySlotSize > max(memory, 3*keySlotSize) {
				t.Errorf("%d bytes: %d slots", memory, len(table.slots))
			}
			if len(want) < 1 || full && float64(len(want)) < float64(memory/keySlotSize)*load*0.4-2 {
				t.Errorf("%d bytes, load %v: full with %d keys", memory, load, len(want))
			}
			for key, offset := range want {
				if got := table.get([]byte(key)); got != offset {
					t.Fatalf("%d bytes, load %v: %s at %d, want %d", memory, load, key, got, offset)
				}
			}
			for i := range 10_000 {
				if key := fmt.Sprint("other-", i); table.get([]byte(key)) != -1 {
					t.Fatalf("%s is known", key)
				}
			}
			for i := 1; i < len(table.slots); i++ {
				a, b := table.slots[i-1], table.slots[i]
				if a.next != 0 && b.next != 0 && (a.high > b.high || a.high == b.high && a.low >= b.low) {
					t.Fatalf("slots %d and %d are not in order", i-1, i)
				}
			}
		}
	}
}

func BenchmarkKeyTable(b *testing.B) {
	table := keyTable{seed: 99}
	table.reset(128<<20, 0.9)
	keys := make([][]byte, 1<<20)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%012d", i)
		if !table.put(keys[i], int64(i)) {
			b.Fatal("full at", i)
		}
	}
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if table.get(keys[i&(1<<20-1)]) < 0 {
				b.Fatal(i)
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		miss := []byte("other-000000000000")
		for i := 0; b.Loop(); i++ {
			miss[6], miss[7], miss[8] = byte(i), byte(i>>8), byte(i>>16)
			if table.get(miss) >= 0 {
				b.Fatal(i)
			}
		}
	})
}
