package remotestore_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// BenchmarkLookup measures a look-up, and for comparison a bare HTTP round trip
// over the same loopback interface.
func BenchmarkLookup(b *testing.B) {
	b.Run("remotestore", func(b *testing.B) {
		s := newStore(b, serve(b, newHandler(b, populated(b), nil)), nil)
		d := digest("a")
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Lookup(b.Context(), d); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		url := serve(b, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		request := []byte(`{"digest":"` + hexDigest("a") + `"}`)
		b.ReportAllocs()
		for b.Loop() {
			resp, err := client.Post(url, contentType, bytes.NewReader(request))
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}
