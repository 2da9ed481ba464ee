"""The state of a credential in Redis, and the scripts that are the only ones to touch it.

A hash for each credential. Of its bucket: `level`, the messages that may go at `at`, or that have
a time in the future where it is below nought; `ramp`, since when it climbs; `factor` of its rate
as of `halved`. Of its pause: `until`, `kind`, `reason`; and where the kind is a trouble, which is
an open circuit: `since`, `opened` (how often in a row), `pause`, `few` (messages of a probe) and
`probe` (until when somebody tries them). All times are epoch seconds of Redis's clock.
"""

from typing import Final

#: A pause because the gateway asked for it; it ends by itself.
THROTTLED: Final = "throttled"

_BEGIN: Final = """
local key, now = KEYS[1], tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
end
local state, found = {}, redis.call('HGETALL', key)
for place = 1, #found, 2 do state[found[place]] = found[place + 1] end
local function number(name, default) return tonumber(state[name]) or default end
local function text(value) return string.format('%.6f', value) end
local open = state.kind ~= nil and state.kind ~= 'throttled'
local function factor()
    return math.min(1, number('factor', 1) + math.max(0, now - number('halved', now)) / 120)
end
"""

#: Takes n messages out of the bucket; those that are too many get a time after all others.
#:
#: Arguments: now (empty: Redis's own), n, what is owed from before, `charge` or not, `defer` or
#: not, messages a second (0: no limit), seconds of the ramp, seconds of a probe.
#: Answers: how many go now, seconds until the next one, seconds between those after it, 1 for a
#: probe, the kind of a pause and its reason, 1 where a rate is in force.
ACQUIRE: Final = f"""{_BEGIN}
local n, owed, rate = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[6])
local ramp_seconds = tonumber(ARGV[7])
if now < number('until', 0) then
    return {{0, text(state['until'] - now), '0', 0, state.kind or '', state.reason or '', 1}}
end
if open then
    if now < number('probe', 0) then
        local wait = math.min(math.max(1, number('pause', 1) / 4), 15)
        return {{0, text(wait), '0', 0, state.kind, state.reason, 1}}
    end
    redis.call('HSET', key, 'probe', text(now + tonumber(ARGV[8])))
    return {{math.min(n, number('few', 1)), '0', '0', 1, state.kind, state.reason, 1}}
end
local limited = 1
if rate == 0 then
    -- Unlimited is what a gateway that asked for less is taken to bear at most.
    if factor() >= 1 then limited = 0 else rate = 10000 end
end
if limited == 0 or ARGV[4] ~= 'charge' then return {{n, '0', '0', 0, '', '', limited}} end
local at, ramp = number('at', 0), number('ramp', 0)
-- While turns are being used that were given before, it is not silent.
local used = at + math.max(0, -number('level', 0)) / rate
if ramp_seconds > 0 and now - used >= 300 then ramp = now end
local function speed_in(seconds)
    local share = 1
    if ramp_seconds > 0 then
        share = math.min(1, 0.1 + 0.9 * (now + seconds - ramp) / ramp_seconds)
    end
    return rate * math.min(1, factor() + seconds / 120) * share
end
-- Turns are given far ahead, and the speed climbs meanwhile.
local function turn_of(messages)
    local second, speed = 0, speed_in(0)
    while messages > speed and speed < rate do
        second, messages = second + 1, messages - speed
        speed = speed_in(second)
    end
    return second + messages / speed, speed
end
local burst, speed = math.max(1, rate * factor()), speed_in(0)
local level = math.min(burst, number('level', burst) + math.max(0, now - at) * speed) - owed
local take, wait = n, 0
if ARGV[5] == 'defer' then
    take = math.max(0, math.min(n, math.floor(level)))
    if take < n then wait, speed = turn_of(math.max(0, 1 - level + take)) end
end
level = level - n
redis.call('HSET', key, 'level', text(level), 'at', text(now), 'ramp', text(ramp))
redis.call('EXPIRE', key, 3600 + math.ceil(math.max(0, -level) / speed))
return {{take, text(wait), text(1 / speed), 0, '', '', 1}}
"""

#: The gateway wants less: half the rate, once a second at most, and nothing at all for a while.
#:
#: Arguments: now, seconds of the pause, the reason.
SLOW_DOWN: Final = f"""{_BEGIN}
if now - number('halved', 0) >= 1 then
    redis.call('HSET', key, 'factor', text(math.max(0.01, factor() / 2)), 'halved', text(now))
end
local till = now + tonumber(ARGV[2])
if not open and till > math.max(now, number('until', 0)) then
    redis.call('HSET', key, 'kind', 'throttled', 'reason', ARGV[3], 'until', text(till))
end
redis.call('EXPIRE', key, 7200)
return 1
"""

#: Opens the circuit; or keeps it open twice as long as before, where a probe has failed. What else
#: fails while it is open was sent before.
#:
#: Arguments: now, the kind, the reason, seconds of the first pause, and of the longest, messages of
#: a probe, `probe` or not.
#: Answers: seconds of the pause, and whether it is a new one.
OPEN: Final = f"""{_BEGIN}
local left = math.max(0, number('until', 0) - now)
if open and (left > 0 or ARGV[7] ~= 'probe') then return {{text(left), 0}} end
-- One outage shows in several ways; a credential that is refused is another matter.
local same = open and (state.kind == 'refused') == (ARGV[2] == 'refused')
local opened = same and number('opened', 0) or 0
local pause = math.min(tonumber(ARGV[5]), tonumber(ARGV[4]) * 2 ^ math.min(opened, 30))
local till = now + math.max(pause, left)
redis.call('HDEL', key, 'probe')
redis.call('HSET', key, 'kind', ARGV[2], 'reason', ARGV[3], 'few', ARGV[6],
    'until', text(till), 'pause', text(pause), 'opened', opened + 1,
    'since', same and state.since or text(now))
redis.call('EXPIRE', key, 7200)
return {{text(pause), 1}}
"""

#: Closes the circuit. Arguments: now. Answers: how long it was open, or nothing.
CLOSE: Final = f"""{_BEGIN}
if not open then return '' end
redis.call('HDEL', key, 'until', 'kind', 'reason', 'since', 'opened', 'pause', 'few', 'probe')
return text(now - number('since', now))
"""

#: Gives a probe back that has told nothing. Arguments: now.
GIVE_BACK: Final = f"""{_BEGIN}
return redis.call('HDEL', key, 'probe')
"""
