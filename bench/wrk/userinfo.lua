-- Userinfo with the lines of TOKENS in turns. Every answer has to say who it is: SUBJECT (empty: anybody).
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
local tokens, turn, headers = {}, 0, {}
for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = "Bearer " .. line end

function request()
  begins()
  turn = turn % #tokens + 1
  headers["Authorization"] = tokens[turn]
  return wrk.format("GET", nil, headers)
end

function expected(status, _, body)
  if status ~= 200 then return "refused" end
  if #(text_of(body, "sub") or "") == 0 then return "nobody" end
end
