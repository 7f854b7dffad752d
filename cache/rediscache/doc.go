// Package rediscache connects the instances of a service through a Redis or
// Valkey server. A [Cache] is both:
//
//   - a [cache.Shared]: an instance that starts reads the entries that other
//     instances have cached, so that a deployment does not overload the store;
//   - a [cache.Bus]: after one instance has revoked a key, all instances refuse
//     it within milliseconds.
//
// All instances open the Cache with the same URL and the same secret:
//
//	c, err := rediscache.Open(ctx, "rediss://app:…@cache.example.com:6379", secret, nil)
//	defer c.Close()
//
// The secret is [MinSecret] random bytes or more, as openssl rand -hex 32 makes
// them. Entries and messages are authenticated with it. Someone who can write to
// the server but does not know the secret cannot make an entry, change one, or
// give it to another key. They can restore a deleted entry, but only until its TTL
// ends, counted from before the store was read. Because clocks differ, each entry counts as older
// than it is, by 10 s or a quarter of the TTL, whichever is less. If clocks differ by more,
// entries are misses, or outlive their TTL by the excess.
//
// A forged message makes instances mark their cached entries stale, at most once
// in 10 s; see [cache.Group].
//
// After the secret has changed, entries of the old secret are misses. Both secrets
// can be in use while instances are replaced. Meanwhile, instances with different
// secrets do not accept each other's messages, and cached entries expire after 10 s.
//
// Values are not encrypted. Anyone who can read the server can read the records of
// keys, which contain no tokens.
//
// # Settings
//
// The URL has the form and the parameters that go-redis documents, with these
// defaults:
//
//   - dial_timeout=1s.
//   - conn_max_idle_time=3m, because common firewalls silently drop idle
//     connections after 4 to 6 minutes.
//   - pool_size=10 for each CPU. The shared cache and Publish have a pool each,
//     and every Receive has a connection of its own.
//
// The URL cannot set read and write timeouts, retries or the protocol: a call of
// the shared cache ends after [Options].Timeout and is not retried, and a Publish
// ends after a second. go-redis logs connection errors to standard error;
// redis.SetLogger changes that.
//
// Special characters in a password must be percent-encoded.
//
// # Outages
//
// When the server is down or too slow, each call returns an error, and the service
// continues with its store. After failures of five different keys in a row, a circuit
// breaker opens: Get and Set then try the server about every half second, and
// return an error at once in between. Delete always calls the server: if an old value
// is not deleted, other instances may serve it for the rest of its TTL.
//
// Receive returns when its connection is lost, and within 1.5 s if the server does
// not respond. The caller must then mark its entries stale and call Receive again.
//
// # Memory
//
// Any eviction policy is safe: an evicted entry is a miss, and a Set whose lease was
// evicted stores nothing. allkeys-lru or allkeys-lfu are best. An entry takes about
// 300 bytes in addition to its value, and expires after its TTL. An attacker can
// cause any number of entries for keys that do not exist. These have separate names
// and expire within seconds.
//
// With noeviction, a full server still returns and deletes entries, but stores no
// new ones. Get then returns an error instead of a miss.
//
// # Persistence and replicas
//
// No entry needs to survive a restart, so a dedicated server should have save ""
// and appendonly no. A server that restarts from an older snapshot, or a lagging
// replica that takes over, brings back values that were deleted shortly before.
// They still expire one TTL after they were read from the store. If that is too
// late for you, use no snapshots and no replicas, or a short TTL.
//
// Publish fails on a server that has become a replica, because a replica delivers
// only to its own clients. A replica in a cluster delivers to the clients of all nodes.
//
// # Rights
//
// A dedicated user needs
//
//	ACL SETUSER app on >… resetkeys resetchannels -@all
//		~keyhatch:k:* ~keyhatch:n:* &keyhatch:bus*
//		+evalsha +eval +get +set +del +strlen +pttl +ping +publish +subscribe
//
// and also +select for a database other than 0, +client|setname for a client_name,
// and +cluster|slots, +cluster|shards and +command for a cluster. Databases do not
// separate buses: a message reaches all of them. Give each service its own
// [Options].Namespace, and allow its user only the names that begin with that
// namespace.
//
// # TLS
//
// With a rediss URL, the server's certificate is checked against the system's root
// certificates. [Options].TLS sets other root certificates or a client certificate.
// A redis URL to another host is refused, since the password and the records of
// keys would be sent unencrypted; [Options].InsecureNoTLS allows it. The same holds
// for the nodes of a cluster.
//
// # Clusters
//
// With [Options].Cluster, the URL names one node, and the client learns the others
// from it. All names of a key are in one slot. Messages are published at the node
// of the URL, or at any node that its host name resolves to, and the cluster
// forwards them to all nodes. If a network failure separates the nodes, instances
// on different sides receive their own messages but not each other's. Package cache
// notices that, since it misses their heartbeats.
//
// # Servers
//
// The package uses only commands that Redis 6 and all versions of Valkey have. It
// does not work with servers that run no Lua scripts, or through proxies that do not
// support publish and subscribe.
package rediscache
