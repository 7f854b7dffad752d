package rediscache

import "github.com/redis/go-redis/v9"

// KEYS[1] is the name of the value, and KEYS[2] the name of the lease or absent entry.
// The scripts use pcall because another program may have stored a list under one of the
// names. They call SET before DEL because a full server refuses SET only as the first
// write of a script. Times are in milliseconds, by the server's clock.

// getScript returns the entry or lease and its remaining time. If there is neither, it
// grants a lease. Readers share a valid lease: each of them reads the store after it got
// the lease, and a Delete ends the lease for all of them.
//
// ARGV: a new lease, its lifetime, the maximum length of an entry, and "use", or "drop"
// to replace an entry by the new lease.
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

// setScript stores an entry if its lease is still there. A lease that was lost through
// FLUSHALL, eviction or a restart makes Set store nothing. A version counter instead of
// leases would start again from zero, and could match an older read.
//
// ARGV: the lease, the lifetime of a lease, the TTL, which counts from the grant of the
// lease, the entry, and "value" or "absent".
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
