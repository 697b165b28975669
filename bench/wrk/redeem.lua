-- Redemption of codes: each line of CODES once, with FORM (and BASIC, the client's secret, if it has one), then the end.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
dofile(os.getenv("WRK_FOLDER") .. "/tokens.lua")
local NEVER_MS = 3600 * 1000
local form, basic = os.getenv("FORM"), os.getenv("BASIC")
local codes, turns, asked = {}, 0, 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
if basic then headers["Authorization"] = "Basic " .. basic end
for line in io.lines(os.getenv("CODES")) do codes[#codes + 1] = line end

-- A connection for which no code is left waits until all is over.
function delay()
  turns = turns + 1
  return turns > #codes and NEVER_MS or 0
end

function request()
  if begins() then asked = asked + 1 end
  return wrk.format("POST", nil, headers, form .. "&code=" .. (codes[asked] or "no-code"))
end

function expected(status, _, body)
  if count_right + count_wrong + 1 >= #codes then wrk.thread:stop() end
  return fault_of_tokens(status, body)
end
