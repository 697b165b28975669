-- Chains of refresh tokens: each answer's token is what a later request presents. TOKENS is a file with one per line,
-- at least one for each connection; FORM is the rest of the form. Run with one thread: the chains belong to it.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
local file = os.getenv("TOKENS")
local form = os.getenv("FORM")
local queue, first, last = {}, 1, 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }

function init()
  for line in io.lines(file) do last = last + 1; queue[last] = line end
end

function request()
  local token = queue[first] or "no-token-left"
  queue[first] = nil
  first = first + 1
  return wrk.format("POST", nil, headers, form .. "&refresh_token=" .. token)
end

function response(status, _, body)
  local token = string.match(body, '"refresh_token":"([^"]+)"')
  if token then last = last + 1; queue[last] = token end
end

function done(summary, latency) report(summary, latency) end
