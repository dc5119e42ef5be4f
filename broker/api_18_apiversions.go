package broker

import "errors"

func (n *Node) handleAPIVersions(c *call) { c.fail(errors.New("handleAPIVersions is not built yet")) }
