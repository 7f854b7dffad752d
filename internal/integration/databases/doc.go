// Package databases tests keyhatch's stores with database servers and their drivers: equal
// behaviour on every database, limits under every isolation level, query plans, crashes and
// performance.
package databases
