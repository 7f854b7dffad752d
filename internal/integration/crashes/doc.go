// Package crashes kills processes while they use a Manager, and tests the data that they have
// written to the database.
package crashes
