package console

import "github.com/millrace/millrace/broker"

// steady is the most that was counted so far. Topics and what deleted ones have left behind are not looked at in one moment: of one that is deleted
// just then neither may tell. A counter that goes down and up again would be to Prometheus all of it anew.
type steady struct{ most broker.Counts }

// hold raises c to what was there before.
func (s *steady) hold(c *broker.Counts) {
	m := &s.most
	for _, n := range []struct{ most, now *int64 }{
		{&m.BytesIn, &c.BytesIn},
		{&m.BytesOut, &c.BytesOut},
		{&m.RecordsIn, &c.RecordsIn},
		{&m.Produces, &c.Produces},
		{&m.Fetches, &c.Fetches},
		{&m.FailedProduces, &c.FailedProduces},
		{&m.FailedFetches, &c.FailedFetches},
	} {
		*n.most = max(*n.most, *n.now)
		*n.now = *n.most
	}
}
