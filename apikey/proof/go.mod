module github.com/keyhatch/keyhatch/apikey/proof

go 1.25.0

require (
	github.com/anishathalye/porcupine v1.3.1
	github.com/keyhatch/keyhatch v0.1.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgraph-io/ristretto/v2 v2.4.2 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
)

replace github.com/keyhatch/keyhatch => ../..
