package apikey

import (
	"reflect"
	"testing"
)

// A cached key has three pointers: to its strings, to the owner's plan, and to the Principal
// with another plan, which is nil in a service without plans. An entry of package cache adds two,
// so in a service without plans the garbage collector follows four.
func TestPointersPerCachedKey(t *testing.T) {
	if n := pointers(reflect.TypeFor[cachedKey]()); n != 3 {
		t.Errorf("pointers of a cached key: got %d, want 3", n)
	}
}

// pointers counts the pointers in a type that the garbage collector follows. In a type without
// interfaces, each field that is not a number has one pointer.
func pointers(t reflect.Type) (n int) {
	switch {
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			n += pointers(t.Field(i).Type)
		}
	case t.Kind() == reflect.Array:
		if t.Len() > 0 {
			n = t.Len() * pointers(t.Elem())
		}
	case t.Kind() > reflect.Complex128:
		n = 1
	}
	return n
}
