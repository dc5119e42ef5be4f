package meta

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/millrace/millrace/wire"
)

func mustApply(t testing.TB, im *Image, rs []Record) *Image {
	t.Helper()
	next, err := im.Apply(rs, im.Index()+1)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// cluster is a new cluster with brokers 1 to n.
func cluster(t testing.TB, n int) *Image {
	t.Helper()
	im := mustApply(t, Empty(), Bootstrap("test"))
	for id := range int32(n) {
		rs, err := RegisterBroker(im, Broker{ID: id + 1, Endpoints: []Endpoint{{Name: "PLAINTEXT", Port: 9092}}})
		if err != nil {
			t.Fatal(err)
		}
		im = mustApply(t, im, rs)
	}
	return im
}

// history is a random life of a cluster; every version of its image.
func history(t testing.TB, seed uint64, steps int) []*Image {
	r := rand.New(rand.NewPCG(seed, 1))
	im := cluster(t, 3)
	versions := []*Image{im}
	for range steps {
		var rs []Record
		switch r.IntN(7) {
		case 0, 1, 2:
			var topics []NewTopic
			for range 1 + r.IntN(3) {
				topics = append(topics, NewTopic{Name: fmt.Sprintf("t.%d", r.IntN(300)), Partitions: 1 + r.Int32N(4), ReplicationFactor: 1 + int16(r.IntN(3)),
					Configs: []ConfigValue{{Name: "retention.ms", Value: fmt.Sprint(r.IntN(9))}}[:r.IntN(2)]})
			}
			rs, _ = CreateTopics(im, topics, &Rules{Partitions: 1, ReplicationFactor: 1}, r.Uint64)
		case 3:
			rs, _ = DeleteTopics(im, []TopicRef{{Name: fmt.Sprintf("t.%d", r.IntN(300)), Named: true}})
		case 4:
			if topic := im.TopicByName(fmt.Sprintf("t.%d", r.IntN(300))); topic != nil {
				rs = []Record{PartitionChangeRecord{TopicID: topic.ID, Number: 0, Leader: 1 + r.Int32N(3), ISR: []int32{1}},
					ConfigRecord{Resource: Resource{TopicResource, topic.Name}, Name: "segment.bytes", Value: "1", Remove: r.IntN(2) == 0}}
			}
		case 5:
			rs, _, _ = GrantProducerIDs(im, 1, im.Broker(1).Epoch)
		case 6:
			rs = LoseTail(im, 1+r.Int32N(3))
		}
		if len(rs) > 0 {
			im = mustApply(t, im, rs)
			versions = append(versions, im)
		}
	}
	return versions
}

// A snapshot, and the records that came after it, make the same image as all the records.
func TestSnapshotAndReplayAgree(t *testing.T) {
	for seed := range uint64(5) {
		versions := history(t, seed, 300)
		last := versions[len(versions)-1]
		for i, im := range versions {
			if i%13 != 0 && im != last {
				continue
			}
			back, err := DecodeSnapshot(im.AppendSnapshot(nil))
			if err != nil {
				t.Fatal(err)
			}
			if back.String() != im.String() || back.Hash() != im.Hash() || back.Index() != im.Index() {
				t.Fatalf("seed %d: the snapshot at offset %d makes another image", seed, im.Index())
			}
			if back.PartitionCount() != im.PartitionCount() || back.shapes.count != im.shapes.count {
				t.Fatalf("seed %d: the snapshot at offset %d counts otherwise", seed, im.Index())
			}
		}
		if last.TopicCount() < 50 || last.NextProducerID() == 0 {
			t.Fatalf("seed %d: the history has %d topics: too few to show anything", seed, last.TopicCount())
		}
	}
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	im := history(t, 7, 40)[20]
	good := im.AppendSnapshot(nil)
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x20
		if _, err := DecodeSnapshot(bad); err == nil {
			t.Errorf("byte %d of %d changed, and nobody noticed", i, len(good))
		}
		if _, err := DecodeSnapshot(good[:i]); err == nil {
			t.Errorf("%d of %d bytes are a snapshot", i, len(good))
		}
	}
	if _, err := DecodeSnapshot(append(slices.Clone(good), 0)); err == nil {
		t.Error("a byte too many is accepted")
	}
}

// A checksum that is right does not make the records right.
func TestSnapshotsWithBadRecordsAreRefused(t *testing.T) {
	seal := func(index int64, count uint32, body []byte) []byte {
		b := binary.BigEndian.AppendUint64([]byte(snapshotMagic), uint64(index))
		b = append(binary.BigEndian.AppendUint32(b, count), body...)
		return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	}
	record := func(r Record) []byte {
		b := AppendRecord(nil, r)
		return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
	}
	one := record(TopicRecord{"a", testID})
	if _, err := DecodeSnapshot(seal(5, 1, one)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"too few records":   seal(5, 2, one),
		"too many records":  seal(5, 0, one),
		"index":             seal(-2, 1, one),
		"record cut":        seal(5, 1, one[:len(one)-1]),
		"same topic twice":  seal(5, 2, append(slices.Clone(one), one...)),
		"no topic":          seal(5, 1, record(RemoveTopicRecord{testID})),
		"endless length":    seal(5, 1, []byte{0xff, 0xff, 0xff, 0xff, 0x7f}),
		"a million records": seal(5, 1_000_000, one),
	} {
		if im, err := DecodeSnapshot(b); err == nil {
			t.Errorf("%s: %s", name, im)
		}
	}
}

func TestRecordsThatCannotFollowAreRefused(t *testing.T) {
	im := cluster(t, 1)
	rs, _ := CreateTopics(im, []NewTopic{{Name: "a.b", Partitions: 1, ReplicationFactor: 1}}, &Rules{}, rand.New(rand.NewPCG(1, 1)).Uint64)
	im = mustApply(t, im, rs)
	id := im.TopicByName("a.b").ID
	if _, err := im.Apply([]Record{FeatureLevelRecord{"f", 1}}, im.Index()); err == nil {
		t.Error("an offset that has been applied is applied again")
	}
	for name, r := range map[string]Record{
		"topic again":         TopicRecord{"a.b", wire.UUID{3}},
		"id again":            TopicRecord{"b", id},
		"no id":               TopicRecord{"c", wire.UUID{}},
		"partition gap":       PartitionRecord{TopicID: id, Number: 2},
		"partition again":     PartitionRecord{TopicID: id, Number: 0},
		"partition of nobody": PartitionRecord{TopicID: wire.UUID{3}},
		"negative partition":  PartitionChangeRecord{TopicID: id, Number: -1},
		"fence of nobody":     BrokerFenceRecord{ID: 9},
		"fence of a ghost":    BrokerFenceRecord{ID: 1, Epoch: 1},
		"stop of a ghost":     BrokerShutdownRecord{ID: 1, Epoch: 1},
		"end of nobody":       UnregisterBrokerRecord{ID: 9},
		"end of a ghost":      UnregisterBrokerRecord{ID: 1, Epoch: 1},
		"directories":         PartitionRecord{TopicID: id, Number: 1, Partition: Partition{Replicas: []int32{1}, Dirs: []wire.UUID{{1}, {2}}}},
		"more directories":    PartitionChangeRecord{TopicID: id, Leader: LeaderUnchanged, Dirs: []wire.UUID{{1}, {2}}},
		"ids again":           ProducerIDsRecord{Next: 0},
		"another cluster":     ClusterRecord{"other"},
		"config of nobody":    ConfigRecord{Resource: Resource{TopicResource, "x"}},
		"remove nobody":       RemoveTopicRecord{wire.UUID{3}},
	} {
		before := im.String()
		if _, err := im.Apply([]Record{r}, im.Index()+1); err == nil {
			t.Errorf("%s: applied", name)
		}
		if im.String() != before {
			t.Errorf("%s: the image has changed", name)
		}
	}
}

// The differences between two images are those a look at every topic finds, however far they are apart.
func TestTopicChangesAreComplete(t *testing.T) {
	versions := history(t, 11, 800)
	topics := func(im *Image) map[wire.UUID]*Topic {
		m := map[wire.UUID]*Topic{}
		im.EachTopic(func(tp *Topic) bool { m[tp.ID] = tp; return true })
		return m
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		i := r.IntN(len(versions))
		j := min(len(versions)-1, i+r.IntN(40))
		old, new := versions[i], versions[j]
		was, is := topics(old), topics(new)
		EachTopicChange(old, new, func(w, n *Topic) {
			var id wire.UUID
			switch {
			case w == nil && n == nil:
				t.Fatal("a change of nothing")
			case w == nil:
				id = n.ID
			default:
				id = w.ID
			}
			if was[id] != w || is[id] != n {
				t.Fatalf("%d to %d: topic %s: wrong pair", i, j, id)
			}
			if w == n {
				t.Fatalf("%d to %d: topic %s has not changed", i, j, id)
			}
			delete(was, id)
			delete(is, id)
		})
		for id, w := range was {
			if is[id] != w {
				t.Fatalf("%d to %d: topic %s was left out", i, j, id)
			}
			delete(is, id)
		}
		if len(is) > 0 {
			t.Fatalf("%d to %d: %d new topics were left out", i, j, len(is))
		}
	}
	n := 0
	EachTopicChange(nil, versions[len(versions)-1], func(was, is *Topic) { n++ })
	if n != versions[len(versions)-1].TopicCount() {
		t.Errorf("from nothing: %d changes", n)
	}
}

// What one topic costs does not grow with the number of the others: between two images that differ in one of 10,000 topics nearly all chunks are shared.
func TestOneChangeSharesTheRest(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	im := cluster(t, 1)
	for i := range 10_000 {
		rs, _ := CreateTopics(im, []NewTopic{{Name: fmt.Sprintf("topic-%d", i), Partitions: 1, ReplicationFactor: 1}}, &Rules{}, r.Uint64)
		im = mustApply(t, im, rs)
	}
	rs, _ := DeleteTopics(im, []TopicRef{{Name: "topic-77", Named: true}})
	next := mustApply(t, im, rs)
	shared := map[*entry[wire.UUID, *Topic]]bool{}
	for _, c := range im.ids.chunks {
		shared[&c[0]] = true
	}
	own := 0
	for _, c := range next.ids.chunks {
		if !shared[&c[0]] {
			own++
		}
	}
	if own > 1 {
		t.Errorf("%d of %d chunks were copied", own, len(next.ids.chunks))
	}
}

// 10,000 partitions with the same replicas share one list of them, in an image made of records and in one made of a snapshot.
func TestPartitionsShareTheirReplicas(t *testing.T) {
	im := cluster(t, 1)
	rs, results := CreateTopics(im, []NewTopic{{Name: "big", Partitions: 10_000, ReplicationFactor: 1}}, &Rules{}, rand.New(rand.NewPCG(1, 1)).Uint64)
	if results[0].Code != wire.None || len(rs) != 10_001 {
		t.Fatalf("%+v, %d records", results[0], len(rs))
	}
	var decoded []Record
	for _, r := range rs {
		d, err := DecodeRecord(AppendRecord(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		decoded = append(decoded, d)
	}
	im = mustApply(t, im, decoded)
	reloaded, err := DecodeSnapshot(im.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, im := range []*Image{im, reloaded} {
		lists := map[*int32]bool{}
		ps := im.TopicByName("big").Partitions
		for i := range ps {
			lists[unsafe.SliceData(ps[i].Replicas)] = true
			lists[unsafe.SliceData(ps[i].ISR)] = true
		}
		if len(ps) != 10_000 || len(lists) != 1 {
			t.Errorf("%d partitions with %d lists", len(ps), len(lists))
		}
		if cap(ps) > len(ps)*5/4 {
			t.Errorf("room for %d partitions", cap(ps))
		}
	}
}

func TestTopicIDsAreKafkas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	im := Empty()
	dashes := 0
	for range 20_000 {
		id := newTopicID(im, r.Uint64)
		if id.IsZero() || id[6]>>4 != 4 || id[8]>>6 != 2 {
			t.Fatalf("%x is not a random UUID", id)
		}
		if id.String()[0] == '-' {
			dashes++
		}
	}
	if dashes > 0 {
		t.Errorf("%d ids look like flags", dashes)
	}
}

func TestNames(t *testing.T) {
	long := string(slices.Repeat([]byte{'x'}, 249))
	for _, good := range []string{"a", "A-z_0.9", "...", "__consumer_offsets", long} {
		if reason := CheckName(good); reason != "" {
			t.Errorf("%q: %s", good, reason)
		}
	}
	for _, bad := range []string{"", ".", "..", "a b", "a/b", "ä", "a\x00", long + "x", "a:b"} {
		if CheckName(bad) == "" {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func BenchmarkCreate10000Partitions(b *testing.B) {
	im := cluster(b, 1)
	r := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		rs, _ := CreateTopics(im, []NewTopic{{Name: "big", Partitions: 10_000, ReplicationFactor: 1}}, &Rules{}, r.Uint64)
		mustApply(b, im, rs)
	}
}

func BenchmarkCreateOneTopicAmong10000(b *testing.B) {
	im := cluster(b, 1)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 10_000 {
		rs, _ := CreateTopics(im, []NewTopic{{Name: fmt.Sprintf("topic-%d", i), Partitions: 1, ReplicationFactor: 1}}, &Rules{}, r.Uint64)
		im = mustApply(b, im, rs)
	}
	for b.Loop() {
		rs, _ := CreateTopics(im, []NewTopic{{Name: "one-more", Partitions: 1, ReplicationFactor: 1}}, &Rules{}, r.Uint64)
		next := mustApply(b, im, rs)
		n := 0
		EachTopicChange(im, next, func(was, is *Topic) { n++ })
		if n != 1 {
			b.Fatal(n)
		}
	}
}

func BenchmarkDecodeSnapshot10000Partitions(b *testing.B) {
	im := cluster(b, 1)
	rs, _ := CreateTopics(im, []NewTopic{{Name: "big", Partitions: 10_000, ReplicationFactor: 1}}, &Rules{}, rand.New(rand.NewPCG(1, 1)).Uint64)
	s := mustApply(b, im, rs).AppendSnapshot(nil)
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		if _, err := DecodeSnapshot(s); err != nil {
			b.Fatal(err)
		}
	}
}
