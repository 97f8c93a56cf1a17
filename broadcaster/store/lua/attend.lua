-- A sign of life of a reader, and who else gave one of late; by Redis' clock.
-- KEYS: 1 workers  2 readers
-- ARGV: 1 reader ('' to ask only)  2 presence (JSON object, '' when the reader ends)  3 seconds that count as of late
-- Returns {{worker, presence, ...}, {reader, presence, ...}}.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
if ARGV[1] ~= '' then
  if ARGV[2] == '' then
    redis.call('HDEL', KEYS[2], ARGV[1])
  else
    redis.call('HSET', KEYS[2], ARGV[1], string.format('%.6f', now) .. ' ' .. ARGV[2])
  end
end

local function alive(key, forgets)
  local found, entries = {}, redis.call('HGETALL', key)
  for i = 1, #entries, 2 do
    local at, presence = string.match(entries[i + 1], '^([%d.]+) (.*)$')
    if at and now - tonumber(at) <= tonumber(ARGV[3]) then
      found[#found + 1] = entries[i]
      found[#found + 1] = presence
    elseif forgets then
      redis.call('HDEL', key, entries[i])
    end
  end
  return found
end

return {alive(KEYS[1], false), alive(KEYS[2], ARGV[1] ~= '')}
