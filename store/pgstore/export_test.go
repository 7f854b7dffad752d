package pgstore

import "github.com/jackc/pgx/v5/pgxpool"

// Pool is what a Store's calls run on.
func (s *Store) Pool() *pgxpool.Pool    { return s.pool }
func (s *Store) Notices() *pgxpool.Pool { return s.notices }

// Channel is the name of what a Bus listens to.
func (b *Bus) Channel() string { return b.channel }
