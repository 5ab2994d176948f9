-- What wrk sends, and what came of it as one line of JSON:
--
--   wrk ... -s http_load.lua URL -- get PATH
--   wrk ... -s http_load.lua URL -- post PATH FILE
--
-- post: the bodies are the lines of FILE in turn, of which each publish is another one: in
-- the first two "%s" stand an identity and a table's name, which differ from publish to publish.

local bodies = {}
local method, path
local count = 0
-- Each identity publishes so many tables.
local kTables = 200

function init(arguments)
  method, path = string.upper(arguments[1]), arguments[2]
  if method == "POST" then
    for line in io.lines(arguments[3]) do
      local head, middle, tail = string.match(line, "^(.-)%%s(.-)%%s(.*)$")
      bodies[#bodies + 1] = {head, middle, tail}
    end
  end
end

function request()
  if method == "GET" then
    return wrk.format("GET", path)
  end
  local body = bodies[count % #bodies + 1]
  local text = body[1] .. "host-" .. math.floor(count / kTables) .. body[2] .. "t" ..
    count % kTables .. body[3]
  count = count + 1
  return wrk.format("POST", path, nil, text)
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"seconds": %.6f, "requests": %d, "bytes": %d, "failed": %d, "median_ms": %.3f}\n',
    summary.duration / 1e6, summary.requests, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3))
end
