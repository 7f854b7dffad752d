// Package proof holds tests of keyhatch's entitlements that need database servers
// and their drivers: one behaviour on every database, whatever the order in which
// updates come, however many bring them.
package proof
