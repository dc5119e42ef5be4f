package broker

import "errors"

func (n *Node) handleListOffsets(c *call) { c.fail(errors.New("handleListOffsets is not built yet")) }
