"""One scenario on a stage: an app with devices of its own, pushes to them, and the verdict."""

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pushsvc.storage.engine import create_engine
from pushsvc.storage.fields import parse_installation_row
from pushsvc.storage.installation_import import import_installations
from tests.chaos import fleet, senders
from tests.chaos.callers import Callers, Keys
from tests.chaos.fleet import Device, Fleet
from tests.chaos.judge import MUST_BE_ZERO, Evidence, Verdict, judge
from tests.chaos.ledgers import Database, Receipts, read_database, read_receipts
from tests.chaos.population import make_app
from tests.chaos.pushes import Planned
from tests.chaos.stage import Stage
from tests.integration.pushing import until

#: How long a push may take to close; one that meets FCM's ten seconds and an outage needs many.
DEADLINE_SECONDS: Final = 90
IMPORT_ROWS: Final = 5_000

_numbers = itertools.count(1)


def some(count: int, device_type: str = "ios", fault: str = "", *, first: int = 0) -> list[Device]:
    """Return devices of one type, all with the same fault."""
    chance = random.Random(f"{device_type} {fault} {next(_numbers)}")
    return [
        Device(0, first + nth, device_type, fleet.token(chance, device_type, fault))
        for nth in range(count)
    ]


@dataclass(kw_only=True)
class Scene:
    """An app on a stage. Its devices are in the channel `all`."""

    stage: Stage
    devices: Sequence[Device]
    callers: Callers
    plan: list[Planned] = field(default_factory=list)

    @classmethod
    async def of(cls, stage: Stage, told: dict[str, Any], devices: Sequence[Device]) -> "Scene":
        """Make an app with the credentials told, and store its devices."""
        engine = create_engine(stage.environment["PUSHSVC_DATABASE_URL"], connections=2)
        try:
            app, keys = await make_app(stage, engine, told)
            topic = told["apns"]["topics"][0]
            for start in range(0, len(devices), IMPORT_ROWS):
                some_rows = [
                    parse_installation_row(one.body(topic) | {"rank": None})
                    for one in devices[start : start + IMPORT_ROWS]
                ]
                async with engine.begin() as connection:
                    await import_installations(connection, app.id, some_rows)
        finally:
            await engine.dispose()
        callers = Callers(
            url=stage.api_url, keys=[keys], seed=next(_numbers), session=stage.session
        )
        return cls(stage=stage, devices=devices, callers=callers)
