// Package secrets searches a process's output, files and memory for the tokens that it
// issued.
package secrets
