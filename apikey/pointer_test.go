package apikey

import (
	"reflect"
	"testing"
	"unsafe"
)

// A cached key has three pointers: to its Principal, and from there to its text and to the plan,
// which owners share. With the pointer of the cache to the key, the garbage collector follows
// four.
func TestPointersPerCachedKey(t *testing.T) {
	if n := pointers(reflect.TypeFor[cachedKey]()) + pointers(reflect.TypeFor[Principal]()); n != 3 {
		t.Errorf("pointers of a cached key and its Principal: got %d, want 3", n)
	}
}

// The entry of a cached key takes two cache lines; see [cache.Cache].
func TestSizeOfCachedKey(t *testing.T) {
	if n := unsafe.Sizeof(cachedKey{}); n > 32 {
		t.Errorf("size of a cached key: got %d bytes, want at most 32", n)
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
