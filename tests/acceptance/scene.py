"""One scenario on a stage: an app with devices of its own, pushes to them, and the verdict."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg

from pushsvc.storage.engine import create_engine
from pushsvc.storage.fields import parse_installation_row
from pushsvc.storage.installation_import import import_installations
from tests.chaos import fleet
from tests.chaos.callers import Callers
from tests.chaos.fleet import EVERYONE, Device, Fleet
from tests.chaos.judge import MUST_BE_ZERO, Evidence, Verdict, judge
from tests.chaos.ledgers import Database, read_database, read_receipts
from tests.chaos.population import make_app
from tests.chaos.pushes import Planned
from tests.chaos.stage import Stage
from tests.integration.pushing import until

#: How long a push may take: FCM's first retry comes after ten seconds and more.
DEADLINE_SECONDS: Final = 240
IMPORT_ROWS: Final = 5_000

_TRIED: Final = """
    SELECT bool_and(state = 'sending') AND NOT EXISTS (
        SELECT 1 FROM batches JOIN pushes ON pushes.id = push_id
        WHERE object_id = ANY($1)
            AND (batches.state = 1 OR batches.state = 0 AND not_before <= now())
    )
    FROM pushes WHERE object_id = ANY($1)
"""

_numbers = itertools.count(1)


def some(count: int, device_type: str = "ios", fault: str = "") -> list[Device]:
    """Return devices of one type, all with the same fault."""
    chance = random.Random(f"{device_type} {fault} {next(_numbers)}")
    return [
        Device(0, rank, device_type, fleet.token(chance, device_type, fault))
        for rank in range(count)
    ]


@dataclass(kw_only=True)
class Scene:
    """An app on a stage. Its devices are in the channel `all`."""

    stage: Stage
    fleet: Fleet
    callers: Callers
    plan: list[Planned] = field(default_factory=list)

    @classmethod
    async def of(cls, stage: Stage, told: dict[str, Any], devices: Sequence[Device]) -> "Scene":
        """Make an app with the credentials told, and store its devices."""
        number = next(_numbers)
        ranked = [Device(0, rank, one.device_type, one.token) for rank, one in enumerate(devices)]
        engine = create_engine(stage.environment["PUSHSVC_DATABASE_URL"], connections=2)
        try:
            app, keys = await make_app(stage, engine, f"scene-{number}", told)
            topic = told["apns"]["topics"][0]
            for first in range(0, len(ranked), IMPORT_ROWS):
                bodies = [one.body(topic) for one in ranked[first : first + IMPORT_ROWS]]
                async with engine.begin() as connection:
                    rows = [parse_installation_row(body) for body in bodies]
                    await import_installations(connection, app.id, rows)
        finally:
            await engine.dispose()
        return cls(
            stage=stage,
            fleet=Fleet((tuple(ranked),)),
            callers=Callers(url=stage.api_url, keys=[keys], seed=number, session=stage.session),
        )

    async def push(self, **rules: Any) -> Planned:
        """Post a push to all devices."""
        push = Planned(
            number=next(_numbers),
            app=0,
            at=0.0,
            door="v1",
            audience={"channels": [EVERYONE]},
            count=self.fleet.size(0),
            **rules,
        )
        self.plan.append(push)
        await self.callers.post(push)
        assert not self.callers.refused, self.callers.refused
        return push

    async def closed(self) -> None:
        """Wait until all pushes are closed."""

        async def none_is_open() -> bool:
            shown = [await self.callers.look(push) for push in self.plan]
            return all(one["state"] == "done" for one in shown)

        await until(none_is_open, seconds=DEADLINE_SECONDS)

    def _ids(self) -> Iterator[str]:
        return (self.callers.accepted[push.number].object_id for push in self.plan)

    async def tried(self) -> None:
        """Wait until all that is due was tried, and what is left is for later."""
        connection = await asyncpg.connect(self.stage.dsn)

        async def is_tried() -> bool:
            return bool(await connection.fetchval(_TRIED, list(self._ids())))

        try:
            await until(is_tried, seconds=DEADLINE_SECONDS)
        finally:
            await connection.close()

    async def outcomes(self) -> dict[str, int]:
        """Return outcome -> devices, of the last push, as the API shows it now."""
        counts: dict[str, int] = (await self.callers.look(self.plan[-1]))["counts"]
        return counts

    async def database(self) -> Database:
        """Return the ledger in Postgres; of the retired tokens those of this scene."""
        found = await read_database(self.stage.dsn)
        ours = {device.token for device in self.fleet.apps[0]}
        return replace(found, retired=found.retired & ours)

    async def verdict(self) -> Verdict:
        """Hold all ledgers together; nothing that must not be has been."""
        shown = {}
        for push in self.plan:
            look = await self.callers.look(push)
            shown[look["id"]] = look["counts"]
        evidence = Evidence(
            fleet=self.fleet,
            accepted=self.callers.accepted,
            shown=shown,
            database=await self.database(),
            receipts=read_receipts(self.stage.gateways.ledger_files),
        )
        found = judge(self.plan, evidence)
        wrong = {name: found.examples[name] for name in MUST_BE_ZERO if found.figures[name]}
        assert not wrong, wrong
        return found
