module github.com/keyhatch/keyhatch/examples

go 1.25.1

require (
	github.com/go-sql-driver/mysql v1.10.1
	github.com/keyhatch/keyhatch v0.1.0
	github.com/keyhatch/keyhatch/cache/rediscache v0.1.0
	github.com/keyhatch/keyhatch/store/pgstore v0.1.0
	github.com/keyhatch/keyhatch/store/sqlitestore v0.1.0
	modernc.org/sqlite v1.58.0
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgraph-io/ristretto/v2 v2.4.2 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.0.0 // indirect
	github.com/redis/go-redis/v9 v9.22.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	go.uber.org/atomic v1.11.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	modernc.org/libc v1.75.6 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

replace (
	github.com/keyhatch/keyhatch => ..
	github.com/keyhatch/keyhatch/cache/rediscache => ../cache/rediscache
	github.com/keyhatch/keyhatch/store/pgstore => ../store/pgstore
	github.com/keyhatch/keyhatch/store/sqlitestore => ../store/sqlitestore
)
