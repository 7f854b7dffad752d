// Package proof holds the checks of the Manager and its cache that need tools
// which the root module must not require of its users: a linearizability
// checker, and a registry of deliberate breaks together with the tests that
// must notice them. REQUIREMENTS.md explains
// the ids that tests name. There is nothing here to import.
package proof
