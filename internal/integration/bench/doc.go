// Package bench measures how fast keyhatch is, in one run, beside the floor and beside a
// cache that a team would write by hand. The floor is one SHA-256 of a token. The program by
// hand hashes the token and looks it up in golang-lru or otter. There is nothing here to
// import.
//
//	go test -run '^$' -bench . ./internal/integration/bench
//
// Each benchmark prints a table. What a table compares is measured in turn, at least five
// times, and the table has the medians. A longer -benchtime means more rounds. The ratios
// carry over to other machines; the times do not. KEYHATCH_SOAK=1 adds a million keys.
//
// KEYHATCH_CHART names a file for a chart of the time per validation against the number of
// keys, up to a million. It is an SVG image. A relative name is relative to this folder.
package bench
