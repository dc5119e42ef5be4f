package broker

import "errors"

func (n *Node) handleOffsetForLeaderEpoch(c *call) { c.fail(errors.New("handleOffsetForLeaderEpoch is not built yet")) }
