// Package secrets searches a process's output, files and memory for the tokens that it
// issued. There is nothing here to import.
package secrets
