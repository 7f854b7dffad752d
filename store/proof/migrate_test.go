package proof_test

import (
	"context"

	"github.com/keyhatch/keyhatch/store/sqlstore"
)

func migrateRole(ctx context.Context, s *sqlstore.Store, _ string) (string, error) {
	return "migrated", s.Migrate(ctx)
}
