-- Begins a new epoch: the carrier came back empty, or without transitions that are known to have happened.
-- KEYS: 1 meta  2 states  3 observed  4 stream
-- ARGV: 1 channel  2 epoch to replace ('' for none)  3 its revision  4 new epoch
--       5 record (JSON object without type, epoch, revision)
--       6.. triples of service, state (JSON object without revision), Unix seconds of its last observation or ''
-- Returns {outcome, epoch, revision}.
local epoch = redis.call('HGET', KEYS[1], 'epoch') or ''
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision') or '0')
if epoch ~= ARGV[2] or revision ~= tonumber(ARGV[3]) then return {'conflict', epoch, revision} end

redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
revision = 0
for i = 6, #ARGV, 3 do
  revision = revision + 1
  redis.call('HSET', KEYS[2], ARGV[i], '{"revision":' .. revision .. ',' .. string.sub(ARGV[i + 1], 2))
  if ARGV[i + 2] ~= '' then redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 2]) end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'revision', revision)
local place = '{"type":"seed","epoch":' .. cjson.encode(ARGV[4]) .. ',"revision":' .. revision .. ','
redis.call('PUBLISH', ARGV[1], place .. string.sub(ARGV[5], 2))
return {'done', ARGV[4], revision}
