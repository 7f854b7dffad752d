// Package crashes kills processes that use a Manager, and looks at what they leave in
// the database. There is nothing here to import.
package crashes
