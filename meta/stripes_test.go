package meta

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// racks is a cluster with brokers in racks, by rack name: those of the second list are fenced.
func racks(t testing.TB, active, fenced map[string][]int32) *Image {
	im := mustApply(t, Empty(), Bootstrap("racks"))
	var rs []Record
	for _, in := range []map[string][]int32{active, fenced} {
		for rack, ids := range in {
			for _, id := range ids {
				rs = append(rs, BrokerRegistrationRecord{Broker{ID: id, Rack: rack, Fenced: slices.Contains(fenced[rack], id)}})
			}
		}
	}
	return mustApply(t, im, rs)
}

// Where it begins is the seed's to say; from the first places on the picture above stripes is what comes out.
func TestStripesGoRoundRacksAndBrokers(t *testing.T) {
	s := newStripes(racks(t, map[string][]int32{"a": {0, 1}, "b": {2, 3}, "c": {4, 5}}, nil))
	for i, want := range [][]int32{{0, 3, 4}, {2, 5, 0}, {4, 1, 2}, {1, 2, 5}, {3, 4, 1}, {5, 0, 3}} {
		if got := s.place(3); !slices.Equal(got, want) {
			t.Errorf("partition %d: %v, want %v", i, got, want)
		}
	}
}

// What must be true of every placement: no broker twice, an active leader, as many racks as there can be, a fenced broker only when its rack has no active one
// left; and of all placements of a topic: leaders spread evenly.
func TestStripesKeepTheirPromises(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 300 {
		active, fenced, rackOf := map[string][]int32{}, map[string][]int32{}, map[int32]string{}
		brokers, up := 1+r.IntN(9), 0
		even := true
		for id := range int32(brokers) {
			rack := fmt.Sprint("r", int(id)%(1+r.IntN(4)))
			rackOf[id] = rack
			if id > 0 && r.IntN(4) == 0 {
				fenced[rack] = append(fenced[rack], id)
			} else {
				active[rack] = append(active[rack], id)
				up++
			}
		}
		for _, ids := range active {
			even = even && len(ids)*len(active) == up
		}
		even = even && len(fenced) == 0
		im := racks(t, active, fenced)
		factor, partitions := 1+r.IntN(brokers), 4*up
		var share lists
		placed, result := placeSpread(im, partitions, factor, &share, r.Uint64)
		if result.Code != 0 {
			t.Fatalf("%v: %s", result.Code, result.Message)
		}
		leaders := map[int32]int{}
		for _, p := range placed {
			leaders[p.Replicas[0]]++
			used := map[string]int{}
			for i, id := range p.Replicas {
				used[rackOf[id]]++
				if slices.Contains(p.Replicas[:i], id) {
					t.Fatalf("%v: broker %d twice", p, id)
				}
				if slices.Contains(fenced[rackOf[id]], id) != !slices.Contains(p.ISR, id) {
					t.Fatalf("%v: the ISR is not the active replicas", p)
				}
			}
			all := map[string]bool{}
			for _, rack := range rackOf {
				all[rack] = true
			}
			if len(used) != min(factor, len(all)) {
				t.Fatalf("%v lies in %d racks of %d", p, len(used), len(all))
			}
			for rack, n := range used {
				have := 0
				for _, id := range p.ISR {
					if rackOf[id] == rack {
						have++
					}
				}
				if have != min(n, len(active[rack])) {
					t.Fatalf("%v: rack %s has active brokers left, and a fenced one was taken", p, rack)
				}
			}
			if !slices.Contains(p.ISR, p.Replicas[0]) || p.Leader != p.Replicas[0] {
				t.Fatalf("%v: its first replica cannot lead", p)
			}
		}
		for id, n := range leaders {
			if even && n != 4 {
				t.Fatalf("%v: broker %d leads %d of %d partitions: %v", active, id, n, partitions, leaders)
			}
		}
	}
}

func TestStripesBeginAnywhere(t *testing.T) {
	im := racks(t, map[string][]int32{"": {1, 2, 3}}, nil)
	first := map[int32]int{}
	for seed := range uint64(300) {
		s := newStripes(im)
		s.begin(seed)
		first[s.place(1)[0]]++
	}
	for id := int32(1); id <= 3; id++ {
		if first[id] < 60 {
			t.Errorf("broker %d leads the first partition %d of 300 times", id, first[id])
		}
	}
}
