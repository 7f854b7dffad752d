package pgstore

import "github.com/jackc/pgx/v5/pgxpool"

// Pool returns the pool of a Store.
func (s *Store) Pool() *pgxpool.Pool    { return s.pool }
func (s *Store) Notices() *pgxpool.Pool { return s.notices }

// Channel returns the name of the channel of a Bus.
func (b *Bus) Channel() string { return b.channel }
