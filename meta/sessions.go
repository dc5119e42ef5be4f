package meta

// Sessions know which brokers are alive: when each has been heard of last, and how far it has applied the metadata log. Nothing of it is in the
// log. Every voter keeps them, because heartbeats go to all voters: who becomes controller knows at once who is alive. Not safe for several
// goroutines.
type Sessions struct {
	timeout int64 // milliseconds
	began   int64
	asked   int64 // when Expired was last called
	brokers map[int32]*session
}

type session struct {
	epoch   int64
	contact int64 // when the broker was heard of last
	offset  int64 // of the last metadata record that it has applied
	timeout int64
	expired int64 // when it was found expired; 0: it was not, or has been forgiven
}

// A broker that was fenced although it lived, and came back within flapWithin, gets twice the time from then on, up to flapTimeout: it is slow, not dead,
// and every fence costs an election.
const (
	flapWithin  = 5_000
	flapTimeout = 6_000
)

// NewSessions begins at now, in milliseconds. A broker that is not heard of for timeout milliseconds has no session any more.
func NewSessions(timeout, now int64) *Sessions {
	return &Sessions{timeout: timeout, began: now, asked: now, brokers: map[int32]*session{}}
}

// Touch takes note of a heartbeat. One of a life that is over counts for nothing.
func (s *Sessions) Touch(im *Image, h *Heartbeat, now int64) {
	b := im.Broker(h.Broker)
	if b == nil || b.Epoch != h.Epoch {
		return
	}
	x := s.brokers[b.ID]
	if x == nil || x.epoch != b.Epoch {
		s.forgetOthers(im)
		x = &session{epoch: b.Epoch, timeout: s.timeout}
		s.brokers[b.ID] = x
	}
	if x.expired > 0 && now-x.expired < flapWithin {
		x.timeout = max(x.timeout, min(2*x.timeout, flapTimeout))
	}
	x.contact, x.offset, x.expired = now, h.Offset, 0
}

// forgetOthers drops the brokers that are not registered any more.
func (s *Sessions) forgetOthers(im *Image) {
	for id := range s.brokers {
		if im.Broker(id) == nil {
			delete(s.brokers, id)
		}
	}
}

// Forget ends the session of a broker whose process is known to be gone, so that its next life may register at once.
func (s *Sessions) Forget(id int32) { delete(s.brokers, id) }

// Expired returns a broker that should be fenced because it has not been heard of for too long, one at a time: the next is asked for when the fence of the
// first is in the image. Who asks for the first time in a while, because it has just become controller or was suspended itself, may have missed
// heartbeats: then every broker has half its time left, at least.
func (s *Sessions) Expired(im *Image, now int64) (id int32, ok bool) {
	if now-s.asked > s.timeout/2 {
		for _, x := range s.brokers {
			x.contact = max(x.contact, now-x.timeout/2)
		}
		s.began = max(s.began, now-s.timeout/2)
	}
	s.asked = now
	im.EachBroker(func(b *Broker) bool {
		if b.Fenced {
			return true
		}
		x := s.brokers[b.ID]
		switch {
		case x == nil || x.epoch != b.Epoch:
			ok = now-s.began >= s.timeout
		default:
			if ok = now-x.contact >= x.timeout; ok {
				x.expired = now
			}
		}
		id = b.ID
		return !ok
	})
	return id, ok
}

// live tells whether that life of the broker has been heard of lately.
func (s *Sessions) live(b *Broker, now int64) bool {
	x := s.brokers[b.ID]
	return x != nil && x.epoch == b.Epoch && now-x.contact < x.timeout
}

// applied is the offset of the last metadata record that all active brokers have applied.
func (s *Sessions) applied(im *Image) int64 {
	lowest := im.Index()
	im.EachBroker(func(b *Broker) bool {
		if !im.active(b.ID) {
			return true
		}
		if x := s.brokers[b.ID]; x != nil && x.epoch == b.Epoch {
			lowest = min(lowest, x.offset)
		} else {
			lowest = -1
		}
		return true
	})
	return lowest
}
