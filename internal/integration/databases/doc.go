// Package databases holds tests of keyhatch's stores that need database servers and
// their drivers: one behaviour on every database, limits under every isolation
// level, plans, crashes, and figures.
package databases
