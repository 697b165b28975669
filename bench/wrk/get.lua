dofile(os.getenv("WRK_FOLDER") .. "/report.lua")
wrk.method = "GET"
done = function(summary, latency) report(summary, latency) end
