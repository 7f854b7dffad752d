// Package remotestore is a [store.Store] over HTTP.
package remotestore
