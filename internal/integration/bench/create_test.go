package bench_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
)

// BenchmarkCreate measures the creation of a key in a store that discards it, beside a random
// token and its digest.
func BenchmarkCreate(b *testing.B) {
	t := newTable("Creation of a key in a store that discards it", "", "ns", "to SHA-256", "allocations", "bytes")
	b.Run("all", func(b *testing.B) {
		m := newManager(b, nowhere{}, 1_000, apikey.Options{})
		programs := []program{
			floor(create(m, 1)),
			{name: "by hand: random text and its digest", call: func(int) error {
				sha256.Sum256([]byte("key_" + rand.Text()))
				return nil
			}},
			{name: "keyhatch: Create", call: func(int) error {
				_, err := m.Create(context.Background(), apikey.CreateParams{Owner: "owner", Name: "key"})
				return err
			}},
		}
		times := inTurn(b, 1, 1<<10, programs...)
		for i, p := range programs {
			allocs, bytes := allocated(1_000, p.call)
			t.row(p.name, times[i], ratio(times[i]/times[0]), allocs, bytes)
		}
	})
	t.print()
}
