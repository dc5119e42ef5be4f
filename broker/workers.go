package broker

type workers struct{}
