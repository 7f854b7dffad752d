// Package plans tests keyhatch's entitlements with database servers and their drivers.
// They check that every database behaves the same, for any order of updates and any
// number of writers.
package plans
