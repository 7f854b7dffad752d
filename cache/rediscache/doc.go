// Package rediscache lets the instances of a service share what they know of
// API keys through a Redis or Valkey server, and tell each other what has
// changed. A [Cache] is both:
//
//   - a [cache.Shared], in which an instance that starts finds what the others
//     have read already, so that a deployment does not storm the store;
//   - a [cache.Bus], over which a key that one instance revokes is refused by
//     all within milliseconds.
//
// It opens with a URL and a secret that all instances have:
//
//	c, err := rediscache.Open(ctx, "rediss://app:…@cache.example.com:6379", secret, nil)
//	defer c.Close()
//
// The secret is [MinSecret] random bytes or more, as openssl rand -hex 32 makes
// them. Entries and messages are authenticated with it. Someone who can write to
// the server but does not know the secret cannot make an entry, change one, or
// give it to another key. They can restore a deleted entry, but only until its TTL
// ends, counted from before the store was read. Because clocks differ, each entry
// is treated as 10 s older than it is, or a quarter of the TTL if that is less. If
// clocks differ by more, entries are misses, or outlive their TTL by the excess.
//
// A forged message makes instances mark their cached entries stale, at most once
// in 10 s; see [cache.Group].
//
// With a new secret, all entries of the old one are misses. Both secrets can be in
// use while instances are replaced. Meanwhile, instances with different secrets do
// not accept each other's messages, and cached entries expire after 10 s. Values are not encrypted: who can read the server can read the
// records of keys, though never the keys.
//
// # Settings
//
// The URL is read as go-redis reads it, with its parameters. Where it says
// nothing, these hold:
//
//   - dial_timeout=1s.
//   - conn_max_idle_time=3m. Firewalls forget idle connections without saying
//     so, the common ones after 4 to 6 minutes.
//   - pool_size is 10 for each CPU, for the level and for publishing each; every
//     Receive has one connection more.
//
// Timeouts of reads and writes, retries and the protocol are not up to the URL:
// a call of the shared cache ends after [Options].Timeout and is not retried, and
// a Publish ends after a second. go-redis logs connection errors to standard error;
// redis.SetLogger changes that.
//
// Special characters in a password must be percent-encoded.
//
// # Outages
//
// When the server is down or too slow, each call returns an error, and the service
// goes on with its store. After failures of five different keys in a row, a circuit
// breaker opens: Get and Set then try the server about every half second, and
// return an error at once in between. Delete always calls the server, since other
// instances may serve a value that it could not delete until its TTL ends.
//
// Receive returns when its connection is lost, and within 1.5 s if the server does
// not respond. The caller must then mark its entries stale and call it again.
//
// # Memory
//
// Any eviction policy is safe: what is evicted is a miss, and a lease that is
// evicted refuses its fill. allkeys-lru or allkeys-lfu are best. An entry takes
// some 300 bytes beside its value, and nothing outlives its ttl. Entries for
// keys that do not exist, of which an attacker can cause any number, have names of
// their own and live for seconds.
//
// Under noeviction, a server that is full still returns what it has and still
// deletes, but keeps nothing new, and Get counts that as an outage.
//
// # Persistence and replicas
//
// Nothing here need outlive the server, so save "" and appendonly no are the
// settings for one of its own. A server that restarts from an older snapshot,
// or a replica that takes over and lags, brings back values that were deleted
// shortly before. They live no longer than their ttl, counted from when they
// were read from the store. Where this matters, use no snapshots and no
// replicas, or a short ttl.
//
// Publish fails on a server that has become a replica, because a replica delivers
// only to its own clients.
//
// # Rights
//
// A user of its own can do with
//
//	ACL SETUSER app on >… resetkeys resetchannels -@all
//		~keyhatch:k:* ~keyhatch:n:* &keyhatch:bus*
//		+evalsha +eval +get +set +del +strlen +pttl +ping +publish +subscribe
//
// and +select for another database than 0, +client|setname with a client_name,
// +cluster|slots and +cluster|shards and +command for a cluster. Databases do
// not keep buses apart: a publication goes to all of them. Give each service a
// [Options].Namespace, and its user the names that begin with it.
//
// # TLS
//
// A rediss URL checks the server's certificate against what the system trusts.
// [Options].TLS brings another authority, or a certificate of the client's own.
// A redis URL to a host other than this one is refused, since the password and
// the records of keys would be sent as they are; [Options].InsecureNoTLS allows
// it. The same holds for the nodes of a cluster.
//
// # Clusters
//
// With [Options].Cluster the URL is of one node, from which the others are
// learned. What belongs to a key is in one slot. Messages all go through the
// node of the URL, or any that its name leads to; a cluster passes them on to
// all nodes. When its nodes are parted from each other, so are those who listen,
// and each instance still hears itself; that the others are silent is noticed by
// package cache.
//
// # Servers
//
// The commands used are those of Redis 6 and of every Valkey. Servers that speak
// their protocol but run no Lua scripts will not do, nor will proxies without
// publish and subscribe.
package rediscache
