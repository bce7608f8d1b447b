package raptorsim

// Working returns the pair that the service works with now; ok is false if no
// dyno runs. Like every call, the first one is when it starts. It counts as no
// call.
func (s *Sim) Working() (keyID, secret string, ok bool) {
	p, _, ok := s.current()
	return p.keyID, p.secret, ok
}
