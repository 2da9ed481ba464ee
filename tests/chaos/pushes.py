"""The pushes of the storm: who gets them, when and by which door, as a seed says. Pure."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.chaos.fleet import BLOCK, DEAD_SHARE, EVERYONE, Device, Fleet, stranger
from tests.chaos.senders import topic

LARGEST: Final = 50_000
#: An app sends at most so many explicit devices at once.
FEW: Final = 100
#: Single pushes of the urgent lane in a second, all through the storm.
URGENT_PER_SECOND: Final = 4.0
#: Everything is accepted in this part of the storm, so that its end still meets much at work.
BUSY_PART: Final = 0.7
#: Shares of the pushes that are not single ones.
DROP_SHARE, EXPIRY_SHARE, LATER_SHARE = 0.2, 0.1, 0.15
EXPIRY_SECONDS: Final = (20, 60)
LATER_SECONDS: Final = (5, 30)
#: Deliveries in a second, all through the storm, as a Parse Server has its pages delivered.
DELIVERY, DELIVERIES_PER_SECOND = "delivery", 2.0
#: Single pushes that wait for their time: they go in volleys.
SOON_SHARE, SOON_SECONDS = 0.3, (0.5, 3.0)
#: Of those that do not say when: for a time of each device's own clock.
LOCAL_SHARE: Final = 0.2
#: Of all that can be met on their way: cancelled, or paused for a while.
CANCEL_SHARE, PAUSE_SHARE = 0.12, 0.15
#: When that is: after the push was accepted, or about its time where that lies ahead.
STEP_SECONDS, ABOUT_SECONDS = (0.05, 4.0), (-0.3, 0.6)
PAUSE_SECONDS: Final = (1.0, 5.0)
#: Larger ones are not cancelled, or little would be left of the storm.
CANCELLED_DEVICES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One push: what its caller posts, and who must come to have an outcome."""

    number: int
    app: int
    #: seconds after the beginning of the storm
    at: float
    #: v1, parse, or delivery: with its devices, at once
    door: str
    audience: dict[str, Any]
    #: ranks of the installations it is for
    first: int = 0
    count: int = 0
    #: or devices that are no installations
    strangers: tuple[Device, ...] = ()
    #: a single push of the urgent lane, whose latency is measured
    urgent: bool = False
    drop: bool = False
    expires_in: int | None = None
    due_in: float | None = None
    #: for a time of each device's own clock, which has come everywhere
    local: bool = False
    #: seconds after its 2xx when its caller cancels it; or pauses it, and for how long
    cancel_after: float | None = None
    pause_after: float | None = None
    pause_for: float = 0.0

    @property
    def size(self) -> int:
        """Return how many devices it is for."""
        return self.count + len(self.strangers)

    @property
    def has_time(self) -> bool:
        """Tell whether it says when it is to go out."""
        return self.local or self.due_in is not None

    @property
    def marker(self) -> str:
        """Return what is found again in every payload of this push."""
        return f"p{self.number:06d}"

    def members(self, fleet: Fleet) -> Sequence[Device]:
        """Return the devices it is for."""
        return (*fleet.apps[self.app][self.first : self.first + self.count], *self.strangers)


def planned(seed: int, *, fleet: Fleet, devices: int, seconds: float) -> list[Planned]:
    """Return the pushes of a storm, in the order of their times.

    Dead tokens are retired on the way, so there is a little more than `devices` in all.
    """
    chance = random.Random(f"pushes {seed}")
    singles = round(URGENT_PER_SECOND * seconds)
    wished = round((devices - singles) / (1 - DEAD_SHARE))
    sizes = _sizes(chance, wished, largest=min(LARGEST, fleet.size(0)))
    drafts = [
        *_urgent(chance, fleet, singles, seconds),
        *_bulk(chance, fleet, sizes, seconds),
        *_deliveries(random.Random(f"deliveries {seed}"), len(fleet.apps), seconds),
    ]
    drafts.sort(key=lambda draft: draft["at"])
    steps, others = random.Random(f"steps {seed}"), random.Random(f"steps of deliveries {seed}")
    return [
        _stepped(others if draft["door"] == DELIVERY else steps, Planned(number=number, **draft))
        for number, draft in enumerate(drafts)
    ]


def _stepped(chance: random.Random, push: Planned) -> Planned:
    """Return the push with what its caller says of its time, and does to it on its way."""
    if push.urgent and chance.random() < SOON_SHARE:
        push = replace(push, due_in=round(chance.uniform(*SOON_SECONDS), 3))
    elif push.urgent:
        return push
    has_times = push.due_in is not None or push.expires_in is not None
    if not has_times and not push.strangers and chance.random() < LOCAL_SHARE:
        push = replace(push, local=True)
    after = chance.uniform(*STEP_SECONDS)
    if push.due_in is not None:
        after = push.due_in + chance.uniform(*ABOUT_SECONDS)
    drawn = chance.random()
    if drawn < CANCEL_SHARE and push.size <= CANCELLED_DEVICES:
        return replace(push, cancel_after=after)
    if drawn < CANCEL_SHARE + PAUSE_SHARE:
        return replace(push, pause_after=after, pause_for=chance.uniform(*PAUSE_SECONDS))
    return push


def _sizes(chance: random.Random, devices: int, *, largest: int) -> list[int]:
    """Return sizes from 1 to the largest, each order of magnitude as likely, that add up."""
    left, sizes = devices, []
    for fixed in (largest, 1):
        if left >= fixed:
            sizes.append(fixed)
            left -= fixed
    while left:
        sizes.append(min(left, round(math.exp(chance.uniform(0, math.log(largest))))))
        left -= sizes[-1]
    chance.shuffle(sizes)
    return sizes


def _urgent(
    chance: random.Random, fleet: Fleet, count: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield pushes for one sound device each, evenly through the whole storm."""
    for number in range(count):
        app = chance.randrange(len(fleet.apps))
        device = chance.choice(fleet.apps[app])
        while device.fault:
            device = chance.choice(fleet.apps[app])
        yield {
            "app": app,
            "at": (number + chance.random()) * seconds / count,
            "door": "v1",
            "audience": {"devices": [{"installation_id": device.installation_id}]},
            "first": device.rank,
            "count": 1,
            "urgent": True,
        }


def _bulk(
    chance: random.Random, fleet: Fleet, sizes: Sequence[int], seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the others; a push starts when its share of the devices is due."""
    before, total = 0, sum(sizes)
    for size in sizes:
        app = chance.choice([app for app in range(len(fleet.apps)) if fleet.size(app) >= size])
        yield {
            "app": app,
            "at": BUSY_PART * seconds * before / total,
            **_audience(chance, fleet, app, size),
            **_rules(chance),
        }
        before += size


def _deliveries(chance: random.Random, apps: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield deliveries of a few devices each; dead ones among them are nobody's to retire."""
    for _ in range(round(DELIVERIES_PER_SECOND * seconds)):
        app = chance.randrange(apps)
        yield {
            "app": app,
            "at": chance.uniform(0, seconds),
            **_strangers(chance, app, chance.randint(1, FEW)),
            "door": DELIVERY,
            "drop": chance.random() < DROP_SHARE,
        }


def _audience(chance: random.Random, fleet: Fleet, app: int, size: int) -> dict[str, Any]:
    """Return whom the push is for, said in one of the four ways."""
    here, door = fleet.size(app), chance.choice(("v1", "parse"))
    first = chance.randrange(here - size + 1)
    if size <= FEW and chance.random() < 0.5:
        if chance.random() < 0.5:
            return _strangers(chance, app, size)
        devices = [
            {"installation_id": one.installation_id}
            for one in fleet.apps[app][first : first + size]
        ]
        return {"door": "v1", "audience": {"devices": devices}, "first": first, "count": size}
    if size == here:
        return {"door": door, "audience": {"channels": [EVERYONE]}, "count": size}
    if size % BLOCK == 0:
        first -= first % BLOCK
        channels = [f"block-{first // BLOCK + nth}" for nth in range(size // BLOCK)]
        return {"door": door, "audience": {"channels": channels}, "first": first, "count": size}
    where = {"rank": {"$gte": first, "$lt": first + size}}
    return {"door": door, "audience": {"where": where}, "first": first, "count": size}


def _strangers(chance: random.Random, app: int, size: int) -> dict[str, Any]:
    base = chance.randrange(1 << 24)
    some = tuple(stranger(app, base + nth) for nth in range(size))
    named = [
        {"device_type": one.device_type, "token": one.token, "app_identifier": topic(app)}
        for one in some
    ]
    return {"door": "v1", "audience": {"devices": named}, "strangers": some}


def _rules(chance: random.Random) -> dict[str, Any]:
    rules: dict[str, Any] = {"drop": chance.random() < DROP_SHARE}
    if chance.random() < EXPIRY_SHARE:
        rules["expires_in"] = chance.randint(*EXPIRY_SECONDS)
    if chance.random() < LATER_SHARE:
        rules["due_in"] = chance.randint(*LATER_SECONDS)
    return rules
