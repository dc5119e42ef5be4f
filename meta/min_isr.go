package meta

// minISRSetting is the setting that says how many replicas must be in sync.
const minISRSetting = "min.insync.replicas"

// lowerMinISR are the changes that must come with settings that lower min.insync.replicas: where fewer replicas in sync are enough from now on, the
// high watermark advances without those that were eligible, so they are eligible no more. Kafka forgets them after every change of the setting.
func lowerMinISR(im *Image, settings []Record, rules *Rules) (rs []Record) {
	if !setsMinISR(settings) {
		return nil
	}
	next, err := im.Apply(settings, im.Index()+1)
	if err != nil { // then they will be refused, and nothing changes
		return nil
	}
	before, after := rules.topics(im), rules.topics(next)
	im.EachTopic(func(t *Topic) bool {
		was, is := before(t), after(next.TopicByID(t.ID))
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if is.MinISR >= was.MinISR || len(p.ELR) == 0 {
				continue
			}
			if r, ok := newChange(next, t, int32(i), is).record(); ok {
				rs = append(rs, r)
			}
		}
		return true
	})
	return rs
}

func setsMinISR(settings []Record) bool {
	for _, r := range settings {
		if c, ok := r.(ConfigRecord); ok && c.Name == minISRSetting {
			return true
		}
	}
	return false
}
