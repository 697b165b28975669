-- Client credentials: FORM, with one of the lines of BASICS (base64 of "id:secret") each time, in an order of its own.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
dofile(os.getenv("WRK_FOLDER") .. "/tokens.lua")
local form = os.getenv("FORM")
local clients, headers = {}, { ["Content-Type"] = "application/x-www-form-urlencoded" }
for line in io.lines(os.getenv("BASICS")) do clients[#clients + 1] = "Basic " .. line end
math.randomseed(now_us())

function request()
  begins()
  headers["Authorization"] = clients[math.random(#clients)]
  return wrk.format("POST", nil, headers, form)
end

function expected(status, _, body) return fault_of_tokens(status, body) end
