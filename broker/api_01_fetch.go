package broker

import "errors"

func (n *Node) handleFetch(c *call) { c.fail(errors.New("handleFetch is not built yet")) }
