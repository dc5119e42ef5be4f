package broker

import "errors"

func (n *Node) handleInitProducerID(c *call) { c.fail(errors.New("handleInitProducerID is not built yet")) }
