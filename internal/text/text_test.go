package text_test

import (
	"strings"
	"testing"

	"github.com/keyhatch/keyhatch/internal/text"
)

// The rules are the same for every package: an owner that a webhook accepts is valid for
// the tables of sqlprovider and for the Manager.
func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, id, want string }{
		{"one byte", "o", ""},
		{"spaces", " user 1 ", ""},
		{"other scripts", "客户", ""},
		{"255 bytes", strings.Repeat("x", 255), ""},
		{"empty", "", "must not be empty"},
		{"256 bytes", strings.Repeat("é", 128), "must have at most 255 bytes"},
		{"invalid UTF-8", "a\xff", "must be valid UTF-8"},
		{"NUL", "a\x00", "must not contain control characters"},
		{"line break", "a\nb", "must not contain control characters"},
		{"control character of two bytes", "a\u0085", "must not contain control characters"},
		{"line separator", "a\u2028", "must not contain control characters"},
		{"paragraph separator", "a\u2029", "must not contain control characters"},
		{"reversed order", "a\u202eb", "must not contain control characters"},
	} {
		got := ""
		if err := text.CheckID(tt.id); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestASCII(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text         string
		printable, visible bool
	}{
		{"nothing", "", true, true},
		{"the first and the last", "!~", true, true},
		{"a space", "a b", true, false},
		{"a control character", "a\x1f", false, false},
		{"DEL", "a\x7f", false, false},
		{"a letter of two bytes", "é", false, false},
		{"an invalid byte", "\xff", false, false},
	} {
		if got := text.IsPrintableASCII(tt.text); got != tt.printable {
			t.Errorf("%s: IsPrintableASCII is %v", tt.name, got)
		}
		if got := text.IsVisibleASCII(tt.text); got != tt.visible {
			t.Errorf("%s: IsVisibleASCII is %v", tt.name, got)
		}
	}
}

func TestAreUTF8(t *testing.T) {
	t.Parallel()
	if !text.AreUTF8() || !text.AreUTF8("", "é") || text.AreUTF8("a", "\xff", "b") {
		t.Error("AreUTF8 must be true only if every string is valid")
	}
}
