package apikey

import "testing"

func BenchmarkGenerate(b *testing.B) {
	f, err := newTokenFormat("acme_live", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.generate()
	}
}
