package host

// Fingerprint is the machine.
type Fingerprint struct{}
