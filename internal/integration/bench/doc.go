// Package bench compares the validation of keys with a cache that a team would write by
// hand: SHA-256 of the token, and a lookup in golang-lru or otter. There is nothing here to
// import.
package bench
