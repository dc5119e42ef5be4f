package broker

import "errors"

func (n *Node) handleCreateTopics(c *call) { c.fail(errors.New("handleCreateTopics is not built yet")) }
