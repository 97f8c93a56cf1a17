-- Announces that a worker is alive and where the carrier is, by the same way as the news.
-- KEYS: 1 meta  2 observed
-- ARGV: 1 channel  2 known epoch  3 known revision  4 record (JSON object without type, epoch, revision)
--       5.. pairs of service, Unix seconds of its last observation
-- Returns {outcome, epoch, revision}.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return {'unseeded', '', 0} end
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision'))
if epoch == ARGV[2] and revision < tonumber(ARGV[3]) then return {'rewound', epoch, revision} end

local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'heartbeat', time[1] .. '.' .. string.format('%06d', time[2]))
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local place = '{"type":"heartbeat","epoch":' .. cjson.encode(epoch) .. ',"revision":' .. revision .. ','
redis.call('PUBLISH', ARGV[1], place .. string.sub(ARGV[4], 2))
if epoch ~= ARGV[2] then return {'other_epoch', epoch, revision} end
return {'done', epoch, revision}
