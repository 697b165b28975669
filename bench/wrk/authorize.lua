-- Authorization requests of somebody who is signed in (COOKIE) and has agreed: each answer is a redirect with a code. The
-- codes go to WRK_KEPT, one a line.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
dofile(os.getenv("WRK_FOLDER") .. "/looking.lua")
wrk.headers["Cookie"] = os.getenv("COOKIE")
kept_lines = {}

function request()
  begins()
  return wrk.format("GET")
end

function expected(status, headers)
  if status ~= 302 and status ~= 303 then return "no redirect" end
  for name, value in pairs(headers) do
    if string.lower(name) == "location" then
      local code = string.match(value, "[?&]code=([^&]+)")
      if not code then return "no code, but " .. value end
      kept_lines[#kept_lines + 1] = code
      return nil
    end
  end
  return "no address"
end
