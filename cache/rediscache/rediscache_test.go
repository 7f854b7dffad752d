package rediscache_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/cachetest"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
)

func TestBus(t *testing.T) {
	t.Parallel()
	cachetest.RunBus(t, func(t *testing.T) cache.Bus { return open(t, testkit.UseRedis(t), nil) })
}

func TestShared(t *testing.T) {
	t.Parallel()
	cachetest.RunShared(t, func(t *testing.T) (one, other cache.Shared) {
		o := &rediscache.Options{Namespace: testkit.NewName()}
		return open(t, testkit.UseRedis(t), o), open(t, testkit.UseRedis(t), o)
	})
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	address := "redis://" + testkit.UseRedis(t)
	type options = rediscache.Options
	for name, c := range map[string]struct {
		secret []byte
		o      options
		want   string
	}{
		"no secret":          {nil, options{}, "the secret"},
		"a short secret":     {secret[:31], options{}, "the secret"},
		"a secret of zeros":  {make([]byte, 64), options{}, "the secret"},
		"an upper case name": {secret, options{Namespace: "Keys"}, "Options.Namespace"},
		"a name with braces": {secret, options{Namespace: "a{b}"}, "Options.Namespace"},
		"a long name":        {secret, options{Namespace: strings.Repeat("a", 65)}, "Options.Namespace"},
		"a negative timeout": {secret, options{Timeout: -1}, "Options.Timeout"},
		"a cluster of one":   {secret, options{Cluster: true}, "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened, err := rediscache.Open(t.Context(), address, c.secret, &c.o)
			if err == nil {
				opened.Close()
				t.Fatal("Open: got no error")
			}
			if !strings.HasPrefix(err.Error(), "rediscache: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestNilOptions(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t).DSN()
	c, err := rediscache.Open(t.Context(), "redis://"+address, secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	key := newKey()
	fill(t, c, key, value("v"))
	names, err := newClient(t, address).Keys(t.Context(), "*").Result()
	if err != nil || len(names) != 1 || !strings.HasPrefix(names[0], rediscache.DefaultNamespace+":k:{") {
		t.Errorf("got the names %q, %v, want only the value's, in the default namespace", names, err)
	}
}

func TestNamespacesAreApart(t *testing.T) {
	t.Parallel()
	address := testkit.UseRedis(t)
	c, other := open(t, address, nil), open(t, address, nil)
	key := newKey()
	fill(t, c, key, value("v"))
	wantMiss(t, other, key, "another namespace")
	if err := other.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	wantItem(t, c, key, value("v"), "a value deleted in another namespace")
}

func TestAnotherSecretSeesNothing(t *testing.T) {
	t.Parallel()
	o := &rediscache.Options{Namespace: testkit.NewName(), Timeout: patience}
	c := open(t, testkit.UseRedis(t), o)
	for _, item := range []cache.Item{value("v"), absent} {
		key := newKey()
		fill(t, c, key, item)
		other, err := rediscache.Open(t.Context(), "redis://"+testkit.UseRedis(t), append([]byte("not "), secret...), o)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		lease := wantMiss(t, other, key, "another secret")
		if err := other.Set(t.Context(), key, lease, value("theirs"), time.Minute); err != nil {
			t.Fatal(err)
		}
		wantItem(t, other, key, value("theirs"), "another secret's own value")
		wantMiss(t, c, key, "a value set with another secret")
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	c := open(t, testkit.UseRedis(t), nil)
	r := testkit.Receive(t, c)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	r.AwaitEnd("closed")
	key := newKey()
	if _, _, err := c.Get(t.Context(), key); err == nil || err == cache.ErrMiss {
		t.Errorf("Get after Close: got %v, want an error", err)
	}
	if err := c.Delete(t.Context(), key); err == nil {
		t.Error("Delete after Close: got no error")
	}
	if err := c.Publish(t.Context(), "message"); err == nil {
		t.Error("Publish after Close: got no error")
	}
	if err := c.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready after Close") }, nil); err == nil {
		t.Error("Receive after Close: got no error")
	}
}

func TestLongValuesAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t, testkit.UseRedis(t), nil)
	key := newKey()
	longest := cache.Item{Value: bytes.Repeat([]byte("x"), rediscache.MaxValue)}
	fill(t, c, key, longest)
	wantItem(t, c, key, longest, "the longest value")
	key = newKey()
	lease := wantMiss(t, c, key, "a key that was never set")
	if err := c.Set(t.Context(), key, lease, cache.Item{Value: append(longest.Value, 'x')}, time.Minute); err == nil {
		t.Error("Set of a value that is too long: got no error")
	}
	wantMiss(t, c, key, "a value that is too long")
}

// A printed Cache does not show the secret.
func TestCacheShowsNoSecret(t *testing.T) {
	t.Parallel()
	c := open(t, testkit.UseRedis(t), nil)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(verb, c)
		if strings.Contains(text, string(secret)) || strings.Contains(text, fmt.Sprint(secret)[1:20]) {
			t.Errorf("%s shows the secret: %s", verb, text)
		}
	}
}
