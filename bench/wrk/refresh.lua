-- Chains of refresh tokens: each answer's token is what a later request presents. TOKENS is a file with one per line,
-- at least one for each connection; FORM is the rest of the form, BASIC the client's secret, if it has one. Run with one
-- thread: the chains belong to it.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
dofile(os.getenv("WRK_FOLDER") .. "/tokens.lua")
local form, basic = os.getenv("FORM"), os.getenv("BASIC")
local queue, first, last = {}, 1, 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
if basic then headers["Authorization"] = "Basic " .. basic end
for line in io.lines(os.getenv("TOKENS")) do last = last + 1; queue[last] = line end
local presented = queue[1]

function request()
  if not begins() then return wrk.format("POST", nil, headers, form) end
  local token = queue[first] or "no-token-left"
  queue[first] = nil
  first = first + 1
  return wrk.format("POST", nil, headers, form .. "&refresh_token=" .. token)
end

function expected(status, _, body)
  local token = text_of(body, "refresh_token")
  if not token then return "no refresh token" end
  if token == presented then return "a refresh token that was not rotated" end
  presented = token
  last = last + 1
  queue[last] = token
  return fault_of_tokens(status, body)
end
