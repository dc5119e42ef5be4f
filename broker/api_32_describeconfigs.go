package broker

import "errors"

func (n *Node) handleDescribeConfigs(c *call) { c.fail(errors.New("handleDescribeConfigs is not built yet")) }
