package alpacasim

// MarketOpen reports whether the market is open, as the dashboard shows it.
func (s *Sim) MarketOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}
