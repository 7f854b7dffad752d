package rediscache

// Waiting returns the number of calls that wait for a round trip.
func (c *Cache) Waiting() int {
	c.scripts.mu.Lock()
	defer c.scripts.mu.Unlock()
	return len(c.scripts.waiting)
}
