-- The same GET again and again. FIELDS are names that have to stand in each answer; HEADERS is lines "Name: value".
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
local fields = words(os.getenv("FIELDS"))
for name, value in string.gmatch(os.getenv("HEADERS") or "", "([%w-]+): ([^\n]+)") do wrk.headers[name] = value end

function request()
  begins()
  return wrk.format("GET")
end

function expected(status, _, body)
  if status ~= 200 then return "refused" end
  for _, name in ipairs(fields) do
    if not has(body, name) then return "an answer without " .. name end
  end
end
