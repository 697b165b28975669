-- Introspection: the lines of TOKENS in turns, with BASIC and FORM. Every one of them has to be active, and have FIELDS.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
local form, fields = os.getenv("FORM"), words(os.getenv("FIELDS"))
local tokens, turn = {}, 0
local headers = {
  ["Content-Type"] = "application/x-www-form-urlencoded",
  ["Authorization"] = "Basic " .. os.getenv("BASIC"),
}
for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = line end

function request()
  begins()
  turn = turn % #tokens + 1
  return wrk.format("POST", nil, headers, form .. "token=" .. tokens[turn])
end

function expected(status, _, body)
  if status ~= 200 then return "refused" end
  if not string.find(body, '"active"%s*:%s*true') then return "not active" end
  for _, name in ipairs(fields) do
    if not has(body, name) then return "an answer without " .. name end
  end
end
