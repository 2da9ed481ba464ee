"""Fair share: what a job weighs, who gets a slot next, and what the clock looks at first. Pure."""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeVar

T = TypeVar("T")

#: One unit of cost. Tags are sums of costs, and arq starts no job whose score lies ahead of the
#: time in milliseconds: at 100,000 devices a second without a pause that is five years away.
DEVICES_PER_UNIT: Final = 10
#: What a job costs beside its devices: a lease, a transaction, some rounds to Redis.
JOB_UNITS: Final = 5
#: A plan reads an audience: as much as a batch of a few hundred devices.
PLAN_UNITS: Final = 20


def cost_of(devices: int) -> int:
    """Return what delivering a batch of so many devices costs."""
    return JOB_UNITS + math.ceil(devices / DEVICES_PER_UNIT)


def slot_app(slot: str) -> str:
    """Return whose slot this is; what older versions have queued is nobody's."""
    app, slash, _ = slot.partition("/")
    return app if slash else ""


def choose(waiting: Sequence[str], running: Iterable[str], *, limit: int) -> list[str]:
    """Return which of the waiting slots start now, so that no more than `limit` run.

    `running` are the apps whose jobs run here, each as often as it has some.
    The next is always of the app that has the fewest here; of those, the one that waits in front.
    So none is left idle while anything waits, and no app takes one that another needs.
    """
    queues: dict[str, deque[tuple[int, str]]] = defaultdict(deque)
    for place, slot in enumerate(waiting):
        queues[slot_app(slot)].append((place, slot))
    has = Counter(running)
    chosen: list[str] = []
    for _ in range(limit - has.total()):
        if not queues:
            break
        app = min(queues, key=lambda app: (has[app], queues[app][0]))
        chosen.append(queues[app].popleft()[1])
        has[app] += 1
        if not queues[app]:
            del queues[app]
    return chosen


def in_turns(items: Iterable[T], *keys: Callable[[T], Hashable]) -> Iterator[T]:
    """Yield items so that groups take turns: those of the first key, and within each the next.

    Of the last groups each keeps the order it came in.
    """
    if not keys:
        yield from items
        return
    key, *others = keys
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    turns = deque(in_turns(group, *others) for group in groups.values())
    while turns:
        group = turns.popleft()
        with suppress(StopIteration):
            yield next(group)
            turns.append(group)
