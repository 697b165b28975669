-- The same form again and again, with Basic authentication: FORM and BASIC from the environment.
dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
wrk.method = "POST"
wrk.body = os.getenv("FORM")
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Authorization"] = "Basic " .. os.getenv("BASIC")
done = function(summary, latency) report(summary, latency) end
