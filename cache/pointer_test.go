package cache

import (
	"reflect"
	"testing"
	"unsafe"
)

// An entry has no pointers except those of its value, so that the garbage collector is fast with a
// million cached keys.
func TestPointersPerEntry(t *testing.T) {
	kind := reflect.TypeFor[entry[*int]]()
	for i := range kind.NumField() {
		if f := kind.Field(i); f.Name != "value" && hasPointer(f.Type) {
			t.Errorf("type of the field %s: got %v, want one without pointers", f.Name, f.Type)
		}
	}
}

// With a value of 32 bytes, an entry takes two cache lines.
func TestSizeOfEntry(t *testing.T) {
	if n := unsafe.Sizeof(entry[[4]uint64]{}); n != 128 {
		t.Errorf("size of an entry with a value of 32 bytes: got %d, want 128", n)
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
