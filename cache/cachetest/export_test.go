package cachetest

import (
	"testing"

	"github.com/keyhatch/keyhatch/cache"
)

// BusRules returns the rules of RunBus by name.
func BusRules(newBus func(t *testing.T) cache.Bus) map[string]func(t *testing.T) {
	rules := map[string]func(t *testing.T){}
	for _, r := range busRules {
		rules[r.name] = func(t *testing.T) { r.check(t, newBus(t)) }
	}
	return rules
}

// SharedRules returns the rules of RunShared by name.
func SharedRules(newShared func(t *testing.T) (one, other cache.Shared)) map[string]func(t *testing.T) {
	rules := map[string]func(t *testing.T){}
	for _, r := range sharedRules {
		rules[r.name] = func(t *testing.T) {
			one, other := newShared(t)
			r.check(t, one, other)
		}
	}
	return rules
}
