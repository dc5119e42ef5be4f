package broker

// A parked fetch waits on each of its partitions until together they have the bytes it is missing, or its time is over. Nothing polls: the
// append (or the flush) that makes enough bytes readable wakes it, or its timer does. Whoever disarms it goes on with it: a wake-up, the
// timer, or the end of its connection.

// maxParkedParts bounds how many partitions all parked fetches together may wait on: beyond it a fetch is answered with what there is. A
// partition that waits costs ten times what its request did, and its frame is not on netio's budget any more.
const maxParkedParts = 1 << 20

// fetchList is the parked fetches of one connection.
type fetchList struct{ first *fetch }

// park waits for more bytes. False: something has changed since the last pass; read again. On the loop.
func (s *fetch) park() bool {
	n := s.n
	need := int64(s.minBytes - s.bytes)
	s.release()
	s.parked.Arm(need)
	for i := range s.parts {
		part := &s.parts[i]
		if part.p == nil {
			continue
		}
		part.Parked, part.Committed = &s.parked, s.committed
		if part.p.Wait(&part.ReadWaiter, &part.got) {
			continue
		}
		if !s.parked.Disarm() {
			break // woken already: resume is on its way
		}
		s.leave()
		return false
	}
	s.c.client.parked.push(s)
	n.parkedParts.Add(int64(len(s.parts)))
	n.fetchTimers.add(&s.timer, s.deadline-n.fetchTimers.now())
	return true
}

// unpark undoes park. On the loop, by who has disarmed it.
func (s *fetch) unpark() {
	if !s.onList {
		return
	}
	s.c.client.parked.remove(s)
	s.n.parkedParts.Add(-int64(len(s.parts)))
	s.n.fetchTimers.cancel(&s.timer)
	s.leave()
}

func (s *fetch) leave() {
	for i := range s.parts {
		if part := &s.parts[i]; part.p != nil {
			part.p.Leave(&part.ReadWaiter)
		}
	}
}

// expire is the timer. It may come late, after a wake-up that was faster: then s may have parked again meanwhile, with another deadline, and
// is only made to look.
func (s *fetch) expire() {
	if s.parked.Disarm() {
		s.timedOut = s.n.fetchTimers.now() >= s.deadline
		s.post()
	}
}

// dropParked ends the fetches of a connection that has closed. Those that somebody has woken end when they resume.
func (n *Node) dropParked(cl *client) {
	for s := cl.parked.first; s != nil; {
		next := s.next
		if s.parked.Disarm() {
			s.unpark()
			s.drop()
		}
		s = next
	}
}

func (l *fetchList) push(s *fetch) {
	s.prev, s.next, s.onList = nil, l.first, true
	if l.first != nil {
		l.first.prev = s
	}
	l.first = s
}

func (l *fetchList) remove(s *fetch) {
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next, s.onList = nil, nil, false
}
