package pgstore_test

import (
	"os"
	"testing"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// H-10: the error for a refused user does not contain the password.
func TestRefusedUsers(t *testing.T) {
	t.Parallel()
	server := testkit.StartPostgreSQL(t)
	admin := server.DSN()
	testkit.Execute(t, admin, "CREATE ROLE app LOGIN PASSWORD 'right'")
	testkit.Execute(t, admin, "GRANT CREATE ON SCHEMA public TO app")
	testkit.Execute(t, admin, "CREATE ROLE encrypted LOGIN PASSWORD '"+canary+"'")
	rules := query(t, admin, "SHOW hba_file")
	old, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	ours := "host all app all scram-sha-256\nhostssl all encrypted all scram-sha-256\nhostnossl all encrypted all reject\n"
	if err := os.WriteFile(rules, append([]byte(ours), old...), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, admin, "SELECT pg_reload_conf()")
	awaitRules(t, admin)

	open(t, logInAs(admin, "app:right", "postgres", ""), nil)
	wantRefused(t, logInAs(admin, "app:"+canary, "postgres", ""), "password authentication failed", "28P01")
	wantRefused(t, logInAs(admin, "app", "postgres", "password="+canary), "password authentication failed", "28P01")
	wantRefused(t, logInAs(admin, "nobody_here:"+canary, "postgres", ""), "nobody_here", "28000")
	wantRefused(t, logInAs(admin, "encrypted:"+canary, "postgres", ""), "no encryption")
	wantRefused(t, logInAs(admin, "app:"+canary, "postgres", "sslmode=require"), "server refused TLS")
	wantRefused(t, logInAs(admin, "app:"+canary, "postgres", "sslmode=verify-full"), "server refused TLS")
}

// awaitRules returns when the server has reloaded its rules.
func awaitRules(t *testing.T, admin string) {
	t.Helper()
	for tryConnect(logInAs(admin, "app", "postgres", "")) == nil {
	}
}
