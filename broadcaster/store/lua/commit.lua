-- Records and announces one transition or change of plans: snapshot, stream and PUBLISH, or nothing.
-- KEYS: 1 meta  2 states  3 stream  4 observed  5 leases  6 workers
-- ARGV: 1 channel  2 service  3 expected service revision  4 commit id  5 known epoch  6 known revision
--       7 record (JSON object without type, epoch, revision)  8 state (JSON object without revision)
--       9 stream length  10 Unix seconds of the observation that decided it ('' for none)
--       11 worker  12 its lease's token ('' for none: not fenced)  13 seconds for which a lease outlives a sign of life
--       14 type of the record
-- Returns {outcome, epoch, revision [, state of the service]}.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return {'unseeded', '', 0} end
local revision = tonumber(redis.call('HGET', KEYS[1], 'revision'))
local held = redis.call('HGET', KEYS[2], ARGV[2])
local at = 0
if held then
  -- A state that cannot be read counts as none, and this commit mends it.
  local readable, state = pcall(cjson.decode, held)
  if readable and type(state) == 'table' and state.commit == ARGV[4] then
    return {'repeated', epoch, state.revision, held}
  end
  at = readable and type(state) == 'table' and tonumber(state.revision) or 0
end
if epoch ~= ARGV[5] then return {'other_epoch', epoch, revision} end
if revision < tonumber(ARGV[6]) then return {'rewound', epoch, revision} end
if at ~= tonumber(ARGV[3]) then return {'conflict', epoch, revision, held or ''} end
if ARGV[12] ~= '' then
  local time, sign = redis.call('TIME'), redis.call('HGET', KEYS[6], ARGV[11])
  local alive_at = sign and tonumber(string.match(sign, '^[%d.]+'))
  local is_alive = alive_at and tonumber(time[1]) + tonumber(time[2]) / 1e6 - alive_at <= tonumber(ARGV[13])
  if not is_alive or redis.call('HGET', KEYS[5], ARGV[2]) ~= ARGV[12] .. ' ' .. ARGV[11] then
    return {'unleased', epoch, revision, held or ''}
  end
end

revision = revision + 1
local place = '{"type":"' .. ARGV[14] .. '","epoch":' .. cjson.encode(epoch) .. ',"revision":' .. revision .. ','
local record = place .. string.sub(ARGV[7], 2)
-- The stream first: of all writes only XADD can be refused (a stream ahead of meta), and then nothing is written.
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[9], revision .. '-0', 'r', record)
redis.call('HSET', KEYS[1], 'revision', revision)
redis.call('HSET', KEYS[2], ARGV[2], '{"revision":' .. revision .. ',' .. string.sub(ARGV[8], 2))
if ARGV[10] ~= '' then redis.call('HSET', KEYS[4], ARGV[2], ARGV[10]) end
redis.call('PUBLISH', ARGV[1], record)
return {'done', epoch, revision}
