package broker

type fetchList struct{}

func (n *Node) dropParked(cl *client) {}
