-- tests/bench/wrk.lua: wrk's requests: `list`, `insert` or `mix` (nine lists for each insert). Prints the result as JSON.
local body = '{"text":"%s"}'

local function post(text)
   return wrk.format("POST", "/api/v1/notes", {["Content-Type"] = "application/json"}, body:format(text))
end

function init(args)
   local mode, text = args[1], args[2]
   local get = wrk.format("GET", "/api/v1/notes?limit=20")
   if mode == "list" then
      return
   end
   if mode == "insert" then
      -- Without a function of our own wrk sends the same bytes again and again: it costs nothing there.
      wrk.method, wrk.path, wrk.body = "POST", "/api/v1/notes", body:format(text)
      wrk.headers["Content-Type"] = "application/json"
      return
   end
   local turn, add = 0, post(text)
   request = function()
      turn = turn + 1
      if turn % 10 == 0 then
         return add
      end
      return get
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      'JSON {"requests": %d, "per_second": %.1f, "bad_status": %d, "errors": %d, "p50_us": %d, "p99_us": %d}\n',
      summary.requests, summary.requests / (summary.duration / 1e6), e.status, e.connect + e.read + e.write + e.timeout,
      latency:percentile(50), latency:percentile(99)))
end
