// Package crashes tests what processes that are killed while they use a Manager have
// written to the database.
package crashes
