-- What every script shares: the clock, the look at each answer, and the line that the harness reads at the end.
--
-- A script sets `expected`, a function of (status, headers, body) that returns what is wrong with an answer, or nil.
-- Names of globals that begin with `count_` and `kept_` are read from the thread's state when all is over.
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *now);
]]
local CLOCK_MONOTONIC = 1
local moment = ffi.new("bench_time")

function now_us()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
  return tonumber(moment.seconds) * 1e6 + tonumber(moment.nanoseconds) / 1e3
end

count_right, count_wrong = 0, 0
count_began, count_ended = 0, 0
kept_wrong, kept_answer = "", ""

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

-- To be called by each request(). False the first time: wrk asks for a request before it begins, and never sends it.
local calls = 0
function begins()
  calls = calls + 1
  if calls == 2 then count_began = now_us() end
  return calls > 1
end

function response(status, headers, body)
  local fault = expected(status, headers, body)
  count_ended = now_us()
  if fault then
    count_wrong = count_wrong + 1
    if kept_wrong == "" then kept_wrong = fault .. ": " .. status .. " " .. string.sub(body, 1, 300) end
  else
    count_right = count_right + 1
    kept_answer = body
  end
end

-- At WRK_RATE requests a second, in even steps: how many milliseconds a connection waits before its next one.
local rate = tonumber(os.getenv("WRK_RATE") or "0")
if rate > 0 then
  local step, next_at = 1e6 / rate, 0
  function delay()
    local now = now_us()
    if next_at == 0 then next_at = now end
    next_at = next_at + step
    return math.max(0, math.floor((next_at - now) / 1e3 + 0.5))
  end
end

local function write_file(name, text)
  local path = os.getenv(name)
  if path then
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end
end

function done(summary, latency)
  local errors, thread = summary.errors, threads[1]
  write_file("WRK_ANSWER", thread:get("kept_answer"))
  write_file("WRK_KEPT", table.concat(thread:get("kept_lines") or {}, "\n"))
  io.write(string.format(
    "RESULT right=%d wrong=%d took_us=%d p50_us=%d p99_us=%d broken=%d\n",
    thread:get("count_right"), thread:get("count_wrong"), math.max(0, thread:get("count_ended") - thread:get("count_began")),
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout))
  io.write("WRONG " .. string.gsub(thread:get("kept_wrong"), "[\r\n]", " ") .. "\n")
end
