package rediscache_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/keyhatch/keyhatch/cache"
	"github.com/keyhatch/keyhatch/cache/rediscache"
	"github.com/keyhatch/keyhatch/internal/testkit"
	"github.com/redis/go-redis/v9"
)

// exercise calls all methods.
func exercise(t *testing.T, c *rediscache.Cache) {
	t.Helper()
	keys := make([]cache.Key, 50)
	for i := range keys {
		keys[i] = newKey()
		item := value("v")
		if i%2 == 0 {
			item = absent
		}
		fill(t, c, keys[i], item)
		wantItem(t, c, keys[i], item, "a value that was set")
	}
	if err := c.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		wantMiss(t, c, key, "a key that was deleted")
	}
	r := testkit.Receive(t, c)
	if err := c.Publish(t.Context(), "message"); err != nil {
		t.Fatal(err)
	}
	r.Wants("message")
}

// The rights that the package comment names are enough.
func TestRights(t *testing.T) {
	t.Parallel()
	address := testkit.StartRedis(t).DSN()
	allow(t, address, "app", "keyhatch")
	exercise(t, open(t, "redis://app:right@"+address, &rediscache.Options{Namespace: "keyhatch"}))
	// Another namespace is out of reach.
	c := open(t, "redis://app:right@"+address, &rediscache.Options{Namespace: "other"})
	if _, _, err := c.Get(t.Context(), newKey()); err == nil || err == cache.ErrMiss {
		t.Errorf("Get in another namespace: got %v, want an error for want of rights", err)
	}
	if err := c.Receive(t.Context(), func(func(context.Context, string) error) { t.Error("ready") }, nil); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Receive in another namespace: got %v, want NOPERM", err)
	}
}

func allow(t *testing.T, address, user, namespace string, more ...string) {
	t.Helper()
	command := strings.Fields("ACL SETUSER " + user + " on >right resetkeys resetchannels -@all " +
		"~" + namespace + ":k:* ~" + namespace + ":n:* &" + namespace + ":bus* " +
		"+evalsha +eval +get +set +del +strlen +pttl +ping +publish +subscribe " + strings.Join(more, " "))
	args := make([]any, len(command))
	for i := range command {
		args[i] = command[i]
	}
	if err := newClient(t, address).Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	exercise(t, open(t, "redis://"+testkit.UseRedis(t)+"/3?client_name=keyhatch", nil))
}

// Two nodes, each with half the slots.
func TestCluster(t *testing.T) {
	t.Parallel()
	settings := []string{"cluster-enabled=yes", "cluster-node-timeout=5000"}
	one, other := testkit.StartRedis(t, settings...).DSN(), testkit.StartRedis(t, settings...).DSN()
	join(t, one, other)
	allow(t, one, "app", "keyhatch", "+cluster|slots +cluster|shards +command")
	allow(t, other, "app", "keyhatch", "+cluster|slots +cluster|shards +command")
	c := open(t, "redis://app:right@"+one, &rediscache.Options{Namespace: "keyhatch", Cluster: true})
	exercise(t, c)
	for _, address := range []string{one, other} {
		key := newKey()
		testkit.Await(t, "each node holds an entry", func() bool {
			key = newKey()
			fill(t, c, key, value("v"))
			n, err := newClient(t, address).DBSize(t.Context()).Result()
			return err == nil && n > 0
		})
	}
	// The cluster forwards a message to the other node.
	r := testkit.Receive(t, open(t, "redis://app:right@"+other, &rediscache.Options{Namespace: "keyhatch", Cluster: true}))
	if err := c.Publish(t.Context(), "message"); err != nil {
		t.Fatal(err)
	}
	r.Wants("message")
	wantRefused(t, "redis://"+one+"/1", &rediscache.Options{Cluster: true}, "database other than 0")
}

// A replica of a cluster forwards messages to all nodes, as a master does.
func TestPublishAtAReplicaOfACluster(t *testing.T) {
	t.Parallel()
	settings := []string{"cluster-enabled=yes", "cluster-node-timeout=5000", "cluster-require-full-coverage=no"}
	master, replica := testkit.StartRedis(t, settings...).DSN(), testkit.StartRedis(t, settings...).DSN()
	join(t, master, replica)
	o := &rediscache.Options{Namespace: "keyhatch", Cluster: true}
	c := open(t, replica, o)
	rs := []*testkit.Receiver{testkit.Receive(t, open(t, master, o)), testkit.Receive(t, c)}
	node := newClient(t, replica)
	if err := node.ClusterDelSlotsRange(t.Context(), 8192, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	id := newClient(t, master).ClusterMyID(t.Context()).Val()
	if err := node.ClusterReplicate(t.Context(), id).Err(); err != nil {
		t.Fatal(err)
	}
	if role, _, _ := strings.Cut(node.Info(t.Context(), "replication").Val(), "connected_slaves"); !strings.Contains(role, "role:slave") {
		t.Fatalf("got %s, want a replica", role)
	}
	if err := c.Publish(t.Context(), "message"); err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		r.Wants("message")
	}
}

func join(t *testing.T, one, other string) {
	t.Helper()
	a, b := newClient(t, one), newClient(t, other)
	for _, step := range []*redis.StatusCmd{
		a.ClusterAddSlotsRange(t.Context(), 0, 8191), b.ClusterAddSlotsRange(t.Context(), 8192, 16383),
	} {
		if err := step.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", 2).Err(); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.ClusterMeet(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	for _, node := range []*redis.Client{a, b} {
		testkit.Await(t, "the cluster is complete", func() bool {
			info, err := node.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2")
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	address, authority := serveTLS(t, testkit.UseRedis(t))
	o := &rediscache.Options{TLS: &tls.Config{RootCAs: authority}}
	exercise(t, open(t, "rediss://"+address, o))
	wantRefused(t, "rediss://:"+canary+"@"+address, nil, "certificate")
	wantRefused(t, "redis://:"+canary+"@"+address, o, "Options.TLS")
}

// serveTLS starts a TLS proxy for a server.
func serveTLS(t *testing.T, server string) (address string, authority *x509.CertPool) {
	t.Helper()
	certificate := certify(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			go func() { io.Copy(back, client); back.Close() }()
			go func() { io.Copy(client, back); client.Close() }()
		}
	}()
	authority = x509.NewCertPool()
	authority.AddCert(certificate.Leaf)
	return l.Addr().String(), authority
}

func certify(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
