-- Send the requests of a file, in turn; pause between them for as many milliseconds.
-- wrk -s wrk.lua URL -- FILE PAUSE

local requests = {}
local sent = 0

function init(args)
    for request in io.open(args[1], "rb"):read("*a"):gmatch("%Z+") do
        requests[#requests + 1] = request
    end
    if tonumber(args[2]) > 0 then
        function delay() return tonumber(args[2]) end
    end
end

function request()
    sent = sent % #requests + 1
    return requests[sent]
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
    print(string.format("measured %.3f %d %.4f %.4f", summary.requests / summary.duration * 1e6, failed,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
