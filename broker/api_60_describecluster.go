package broker

import "errors"

func (n *Node) handleDescribeCluster(c *call) { c.fail(errors.New("handleDescribeCluster is not built yet")) }
