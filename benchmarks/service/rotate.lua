-- Requests in rotation, for wrk: a file holds each one after its length in bytes, in decimal on a
-- line of its own. The figures are printed as JSON on the last line.

local requests, turn = {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local length = file:read("*n")
  while length do
    file:read(1)
    table.insert(requests, file:read(length))
    length = file:read("*n")
  end
  file:close()
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local faults = summary.errors
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p90_us": %d, "p99_us": %d, "mean_us": %.1f, '
      .. '"refused": %d, "broken": %d}',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.mean,
    faults.status, faults.connect + faults.read + faults.write + faults.timeout
  ))
end
