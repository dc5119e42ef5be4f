package broker

import "errors"

func (n *Node) handleDeleteTopics(c *call) { c.fail(errors.New("handleDeleteTopics is not built yet")) }
