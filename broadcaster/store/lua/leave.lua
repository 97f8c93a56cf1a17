-- A worker ends in good order: it gives up everything it holds, at once.
-- KEYS: 1 workers  2 leases  3 detection
-- ARGV: 1 worker  2.. triples of service, token, detection state (JSON, '' for none)
redis.call('HDEL', KEYS[1], ARGV[1])
for i = 2, #ARGV, 3 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] .. ' ' .. ARGV[1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
    if ARGV[i + 2] ~= '' then redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 2]) end
  end
end
return 1
