package broker

import "errors"

func (n *Node) handleMetadata(c *call) { c.fail(errors.New("handleMetadata is not built yet")) }
