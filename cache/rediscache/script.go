package rediscache

import "github.com/redis/go-redis/v9"

// KEYS[1] is the name of the value, KEYS[2] that of the lease or absent answer.
// pcall, since somebody may have put a list there. SET comes first: a server
// that is full refuses it only as the first write of a script. Times are in
// milliseconds and by the server's clock alone.

// getScript returns what there is and how long it has left. If there is
// nothing it grants a lease. Readers share one that stands: each of them reads
// the store after it got the lease, and a Delete ends it for all.
//
// ARGV: a new lease, how long it stands, the longest that is returned, and
// whether what there is is of use.
var getScript = redis.NewScript(`
local function kept(name)
	local size = redis.pcall('STRLEN', name)
	if type(size) ~= 'number' or size == 0 or size > tonumber(ARGV[3]) then
		return nil
	end
	return {redis.call('GET', name), redis.call('PTTL', name)}
end
local found = ARGV[4] == 'use' and (kept(KEYS[1]) or kept(KEYS[2]))
if found then
	return found
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[1])
return {ARGV[1], tonumber(ARGV[2])}
`)

// setScript keeps an entry if its lease stands. A lease is there or it is not:
// one that was lost, by FLUSHALL, by eviction or with the server, refuses a
// fill. A number that counts versions would begin anew and admit it.
//
// ARGV: the lease, how long leases stand, the ttl, which counts from the lease,
// the entry, and whether it is absent.
var setScript = redis.NewScript(`
if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then
	return 0
end
local stands = redis.call('PTTL', KEYS[2])
local age = tonumber(ARGV[2]) - stands
local left = tonumber(ARGV[3]) - age
if stands < 0 or age < 0 or left <= 0 then
	return 0
end
if ARGV[5] == 'absent' then
	redis.call('SET', KEYS[2], ARGV[4], 'PX', left)
else
	redis.call('SET', KEYS[1], ARGV[4], 'PX', left)
	redis.call('DEL', KEYS[2])
end
return 1
`)
