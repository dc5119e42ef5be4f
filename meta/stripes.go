package meta

import "slices"

// stripes places replicas as Kafka's striped placer does: they go round the racks, and within each rack round its brokers. A partition begins one rack
// further than the one before; a rack, with the broker after the one that led for it last; and the racks behind it one broker further each:
//
//	rack A: 0 1    partition 0: 0 3 4    partition 3: 1 2 5
//	rack B: 2 3    partition 1: 2 5 0    partition 4: 3 4 1
//	rack C: 4 5    partition 2: 4 1 2    partition 5: 5 0 3
//
// So the replicas of a partition lie in as many racks as there are, leaders and followers are spread evenly, and the partitions of different leaders have
// different followers. (Kafka turns all racks at every partition. With two racks of two brokers that leaves two of the four without a partition to lead.)
// Where it begins is random. When every broker has led once all orders are shuffled, or the same sets of brokers would come again. Fenced brokers come
// last in their rack, and never lead.
type stripes struct {
	racks          []*rack
	start          int // the rack of the first leader
	round          int // partitions placed so far
	active, usable int // brokers; the usable ones may be fenced
	random         splitmix
}

type rack struct {
	name           string
	active, fenced wheel
}

// wheel is brokers that are taken in turn, each once a round.
type wheel struct {
	ids   []int32
	start int
	round int // taken of this one so far
	taken int
}

func newStripes(im *Image) *stripes {
	s := new(stripes)
	im.EachBroker(func(b *Broker) bool {
		if b.ShutdownOffset > 0 {
			return true
		}
		at, found := slices.BinarySearchFunc(s.racks, b.Rack, func(r *rack, name string) int { return compare(r.name, name) })
		if !found {
			s.racks = slices.Insert(s.racks, at, &rack{name: b.Rack})
		}
		s.usable++
		if b.Fenced {
			s.racks[at].fenced.ids = append(s.racks[at].fenced.ids, b.ID)
		} else {
			s.racks[at].active.ids = append(s.racks[at].active.ids, b.ID)
			s.active++
		}
		return true
	})
	return s
}

// begin decides where all orders begin.
func (s *stripes) begin(seed uint64) {
	s.random = splitmix(seed)
	for _, r := range s.racks {
		r.active.start, r.fenced.start = s.random.below(len(r.active.ids)), s.random.below(len(r.fenced.ids))
	}
	s.start = s.random.below(len(s.racks))
}

// place places the replicas of the next partition; factor is at least 1, and no more than the usable brokers, of which one is active.
func (s *stripes) place(factor int) []int32 {
	if s.round > 0 && s.round%s.active == 0 {
		s.shuffle()
	}
	replicas := make([]int32, 0, factor)
	led := 0 // how far the leader's rack is from the first: the round of the followers passes it over once
	for {
		id, ok := s.rack(led).active.next(s.round, s.turn(led))
		if ok {
			replicas = append(replicas, id)
			break
		}
		led++
	}
	for at, passed := 0, false; len(replicas) < factor; at = (at + 1) % len(s.racks) {
		if at == led && !passed {
			passed = true
			continue
		}
		r := s.rack(at)
		id, ok := r.active.next(s.round, s.turn(at))
		if !ok {
			id, ok = r.fenced.next(s.round, s.turn(at))
		}
		if ok {
			replicas = append(replicas, id)
		}
	}
	s.round++
	return replicas
}

// rack is the one so far behind that which this partition begins with.
func (s *stripes) rack(behind int) *rack { return s.racks[(s.start+s.round+behind)%len(s.racks)] }

// turn is how many brokers further than at the start such a rack begins.
func (s *stripes) turn(behind int) int { return s.round/len(s.racks) + behind }

func (w *wheel) next(round, turn int) (id int32, ok bool) {
	if w.round != round {
		w.round, w.taken = round, 0
	}
	if w.taken == len(w.ids) {
		return 0, false
	}
	id = w.ids[(w.start+turn+w.taken)%len(w.ids)]
	w.taken++
	return id, true
}

func (s *stripes) shuffle() {
	s.random.shuffle(len(s.racks), func(i, j int) { s.racks[i], s.racks[j] = s.racks[j], s.racks[i] })
	for _, r := range s.racks {
		for _, ids := range [][]int32{r.active.ids, r.fenced.ids} {
			s.random.shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		}
	}
}

// splitmix is Steele, Lea and Flood's generator: as many numbers as a placement takes from one that was drawn.
type splitmix uint64

func (r *splitmix) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is a number from 0 to n-1, or 0 when there is none.
func (r *splitmix) below(n int) int {
	if n == 0 {
		return 0
	}
	return int(r.next() % uint64(n))
}

func (r *splitmix) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.below(i+1))
	}
}
