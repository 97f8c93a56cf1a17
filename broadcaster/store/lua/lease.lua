-- One worker's ownership of services: it is alive, keeps what it holds, gives up some, claims others; by Redis' clock.
-- A lease is held as long as its owner says that it is alive at least every ttl seconds; its token is the fence that a
-- commit must pass (commit.lua).
-- KEYS: 1 workers  2 leases  3 detection
-- ARGV: 1 worker  2 presence (JSON object)  3 ttl in seconds  4 seconds after which a dead worker is forgotten
--       5 number of states, then pairs of service, detection state (JSON; kept only if the lease is held)
--       then number of services to give up, then those; the rest: services to claim
-- Returns {was alive, {worker, presence, ...} of those alive, {service, token or 0, owner before or now,
-- detection state, ...} of those claimed}.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local worker, ttl = ARGV[1], tonumber(ARGV[3])

local alive, peers, was_alive = {}, {}, 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local name = entries[i]
  local at, presence = string.match(entries[i + 1], '^([%d.]+) (.*)$')
  local age = at and now - tonumber(at) or math.huge
  if name == worker then
    if age <= ttl then was_alive = 1 end
  elseif age <= ttl then
    alive[name] = true
    peers[#peers + 1] = name
    peers[#peers + 1] = presence
  elseif age > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], name)
  end
end
redis.call('HSET', KEYS[1], worker, string.format('%.6f', now) .. ' ' .. ARGV[2])

local function holder(service)
  local held = redis.call('HGET', KEYS[2], service)
  if not held then return nil end
  local token, owner = string.match(held, '^(%d+) (.+)$')
  return owner, tonumber(token)
end

local at = 6
for _ = 1, tonumber(ARGV[5]) do
  if holder(ARGV[at]) == worker then redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1]) end
  at = at + 2
end
local given_up = tonumber(ARGV[at])
at = at + 1
for _ = 1, given_up do
  if holder(ARGV[at]) == worker then redis.call('HDEL', KEYS[2], ARGV[at]) end
  at = at + 1
end
local claims = {}
while at <= #ARGV do
  local service = ARGV[at]
  local owner, token = holder(service)
  local granted = owner == worker and token or 0
  if not owner or (owner ~= worker and not alive[owner]) then
    -- Service names cannot begin with a colon.
    granted = redis.call('HINCRBY', KEYS[2], ':token', 1)
    redis.call('HSET', KEYS[2], service, granted .. ' ' .. worker)
  end
  claims[#claims + 1] = service
  claims[#claims + 1] = granted
  claims[#claims + 1] = owner or ''
  claims[#claims + 1] = redis.call('HGET', KEYS[3], service) or ''
  at = at + 1
end
return {was_alive, peers, claims}
