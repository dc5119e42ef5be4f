package broker

import "errors"

func (n *Node) handleProduce(c *call) { c.fail(errors.New("handleProduce is not built yet")) }
