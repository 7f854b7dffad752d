package cache

import (
	"reflect"
	"testing"
)

// An entry has one pointer, to its value, so that the garbage collector is fast with a
// million cached keys.
func TestPointersPerEntry(t *testing.T) {
	kind := reflect.TypeFor[entry[*int]]()
	for i := range kind.NumField() {
		if f := kind.Field(i); f.Name != "value" && hasPointer(f.Type) {
			t.Errorf("type of the field %s: got %v, want one without pointers", f.Name, f.Type)
		}
	}
}

func hasPointer(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointer(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Array:
		return t.Len() > 0 && hasPointer(t.Elem())
	}
	return t.Kind() > reflect.Complex128
}
