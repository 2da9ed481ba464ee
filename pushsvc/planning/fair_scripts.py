"""Fair share in Redis: the scripts that hand out slots to apps, and work of an app to its slots.

Start-time fair queueing, twice. A lane's queue in arq holds *slots*, each of an app; an app's work
list holds its jobs. Both are ordered by tags: the tag of what is new is the lane's (the app's)
virtual time, or where the app's (the push's) last one ends, whichever is later; it ends as much
later as the job costs. A lane's virtual time is the tag of the slot that was started last, an app's
is the end of its job. A slot that starts takes from its app's list what is next there, whatever it
was made for.

Per app there are never more than `SLOTS` in the queue, so that nobody's backlog hides another's;
each that starts is replaced while there is work. A slot is a whole job for arq, with the function
and the arguments of the work it was made for: a worker of an older version runs it as it stands.

arq starts a slot where a place is idle, and asks Redis a dozen questions for it. A place that is
done with one takes the next by itself (`NEXT`), which is one question. Lanes sleep until their bell
rings: a list that is empty, or has one element.
"""

from typing import Final

#: Slots of one app that wait in a lane's queue. A process starts no more than it has free; the
#: next stand there within milliseconds.
SLOTS: Final = 32
#: Everything here is for a day after it was last touched: work that is older the clock finds again.
KEEP_MS: Final = 24 * 60 * 60 * 1000
#: Slots that are looked at for the next: past those of all apps that wait, and of dead workers.
NEXT_LOOK: Final = 1_000
#: What was taken is not asked for again while its lease is on its way to Postgres.
TAKEN_MS: Final = 1000
#: Tags stay far below; above are the scores of jobs of older versions, which are times.
LARGEST_TAG: Final = 10**12

#: Keys of every script: the lane's queue; before the ids of jobs, and of those in progress. The
#: first argument: a job, with places for its function, its arguments and its time.
_COMMON: Final = f"""
local queue, job_prefix, progress_prefix = unpack(KEYS)
local job_form, call = ARGV[1], redis.call
local moment = call('TIME')
local now_ms = moment[1] .. string.format('%03d', math.floor(moment[2] / 1000))

local function of(app)
    return {{
        app = app,
        work = queue .. ':work:' .. app,
        costs = queue .. ':costs:' .. app,
        slots = queue .. ':slots:' .. app,
        now = queue .. ':now:' .. app,
        ends = queue .. ':ends:' .. app,
    }}
end

-- Virtual times may be lost alone, to eviction say: then it is that of what waits in front.
local function time_of(key, line)
    local known = call('GET', key)
    if known then return tonumber(known) end
    local first = call('ZRANGEBYSCORE', line, '-inf', {LARGEST_TAG}, 'WITHSCORES', 'LIMIT', 0, 1)
    return tonumber(first[2] or 1)
end

-- Ends that the virtual time has passed say nothing: they go, so that nothing here grows.
local function pass(key, ends, tag, before)
    if tag >= before then
        call('SET', key, tag, 'PX', {KEEP_MS})
        call('ZREMRANGEBYSCORE', ends, '-inf', tag)
    end
end

local function tag_for(ends, flow, now, cost)
    local start = math.max(now, tonumber(call('ZSCORE', ends, flow) or 0))
    call('ZADD', ends, start + cost, flow)
    return start
end

local function add_slot(own, job)
    local cost = tonumber(call('HGET', own.costs, job) or 1)
    local tag = tag_for(queue .. ':ends', own.app, time_of(queue .. ':now', queue), cost)
    local slot = own.app .. '/' .. now_ms .. '-' .. call('INCR', queue .. ':number')
    local name, numbers = string.match(job, '^([%a_]+):(.+)$')
    local form = string.format(job_form, name, (string.gsub(numbers, ':', ',')), now_ms)
    call('PSETEX', job_prefix .. slot, {KEEP_MS}, form)
    call('ZADD', queue, tag, slot)
    call('SADD', own.slots, slot)
end

local function ring()
    if call('LLEN', queue .. ':bell') == 0 then call('RPUSH', queue .. ':bell', '') end
    call('PEXPIRE', queue .. ':bell', {KEEP_MS})
end

local function fill(own)
    local wanted = math.min({SLOTS}, call('ZCARD', own.work))
    for place = call('SCARD', own.slots), wanted - 1 do
        add_slot(own, call('ZRANGE', own.work, place, place)[1])
    end
    for _, key in ipairs({{own.work, own.costs, own.slots, own.ends}}) do
        call('PEXPIRE', key, {KEEP_MS})
    end
    for _, name in ipairs({{':ends', ':number'}}) do
        call('PEXPIRE', queue .. name, {KEEP_MS})
    end
end

-- Return what the slot's app wants done first; the lane's time is the slot's from now on.
local function start(slot, own)
    local tag = tonumber(call('ZSCORE', queue, slot) or 0)
    if tag < {LARGEST_TAG} then
        pass(queue .. ':now', queue .. ':ends', tag, time_of(queue .. ':now', queue))
    end
    call('SREM', own.slots, slot)
    local before = time_of(own.now, own.work)
    local job, from = unpack(call('ZPOPMIN', own.work))
    if job then
        local cost = tonumber(call('HGET', own.costs, job) or 1)
        call('HDEL', own.costs, job)
        call('SET', queue .. ':taken:' .. job, 1, 'PX', {TAKEN_MS})
        -- Its end, not its start: else a stream of small pushes, new each, would always come first.
        pass(own.now, own.ends, from + cost, before)
    end
    fill(own)
    return job
end
"""

#: Arguments: whether the clock asks, which looks after slots that are gone; app, push, job and cost
#: of each job. What is in a list, or was taken just now, is left as it is. Returns how many were
#: not, so that the clock learns what was lost. Rings where there is something to start.
WAKE: Final = (
    _COMMON
    + """
-- Slots of workers that died, or that nobody here has started: they no longer wait.
local function count_anew(own)
    for _, slot in ipairs(call('SMEMBERS', own.slots)) do
        if not call('ZSCORE', queue, slot)
            or call('EXISTS', progress_prefix .. slot) == 1 then
            call('SREM', own.slots, slot)
        end
    end
end

local function add(own, push, job, cost)
    if call('ZSCORE', own.work, job)
        or call('EXISTS', queue .. ':taken:' .. job) == 1 then return 0 end
    local tag = tag_for(own.ends, push, time_of(own.now, own.work), cost)
    call('ZADD', own.work, tag, job)
    call('HSET', own.costs, job, cost)
    return 1
end

local apps, added = {}, 0
for first = 3, #ARGV, 4 do
    local app = ARGV[first]
    apps[app] = apps[app] or of(app)
    added = added + add(apps[app], ARGV[first + 1], ARGV[first + 2], tonumber(ARGV[first + 3]))
end
for _, own in pairs(apps) do
    if ARGV[2] == '1' then count_anew(own) end
    fill(own)
    if call('ZCARD', own.work) > 0 then ring() end
end
return added
"""
)

#: Arguments: the slot that starts, and its app. Returns the job to do, or nothing where others have
#: done it all.
TAKE: Final = _COMMON + "return start(ARGV[2], of(ARGV[3]))"

#: Arguments: apps, and of each how many of its jobs run in this process. Returns the next job and
#: its app, or nothing where none waits: of the app that has the fewest here the slot in front. It
#: has started and ended with that, as far as arq goes.
NEXT: Final = (
    _COMMON
    + f"""
local here = {{}}
for first = 2, #ARGV, 2 do here[ARGV[first]] = tonumber(ARGV[first + 1]) end

local function front()
    local found, whose, fewest
    local line = call('ZRANGEBYSCORE', queue, '-inf', {LARGEST_TAG}, 'LIMIT', 0, {NEXT_LOOK})
    for _, slot in ipairs(line) do
        local app = string.match(slot, '^([^/]+)/')
        local count = here[app] or 0
        if app and (not found or count < fewest)
            and call('EXISTS', progress_prefix .. slot) == 0 then
            found, whose, fewest = slot, app, count
            if count == 0 then break end
        end
    end
    return found, whose
end

while true do
    local slot, app = front()
    if not slot then return false end
    local job = start(slot, of(app))
    call('ZREM', queue, slot)
    call('DEL', job_prefix .. slot)
    -- arq watches this key while it starts a slot: who is about to start this one sees it change.
    call('SET', progress_prefix .. slot, 1)
    call('DEL', progress_prefix .. slot)
    if job then return {{job, app}} end
end
"""
)
