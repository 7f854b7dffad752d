// Package requirements compares REQUIREMENTS.md and ASVS.md with the tests, and checks
// rules that only the source text shows. There is nothing here to import.
package requirements
