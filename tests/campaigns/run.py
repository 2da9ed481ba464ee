"""A proof from its beginning to the verdict: three campaigns over the same devices."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pushsvc.model import OUTCOME_OF, Outcome
from pushsvc.storage import migrate
from pushsvc.storage.engine import create_engine
from pushsvc.storage.fields import parse_installation_row
from pushsvc.storage.installation_import import import_installations
from tests.campaigns import acts, facts, world
from tests.campaigns.acts import Act
from tests.campaigns.judge import After, Before, Verdict, judge
from tests.campaigns.world import Device
from tests.chaos import senders
from tests.chaos.ledgers import read_receipts
from tests.chaos.population import make_app
from tests.chaos.stage import Stage, staged
from tests.integration.pushing import until

IMPORT_ROWS: Final = 5_000
#: Until the time of a campaign that was just stored.
SOON: Final = timedelta(seconds=2)
#: How long a run may take: its devices, and a minute that quiet hours are waited for.
CLOSE_SECONDS: Final = 300
#: Requests that the simulators keep in full, for each device: one for each campaign.
ENTRIES_PER_DEVICE: Final = 3
#: Nobody dies here: a batch is not to be taken over because the machine is slow.
SETTINGS: Final = {"PUSHSVC_LEASE_SECONDS": "60"}
#: What must be nought; everything else is told.
DIFFERENCES: Final = "differences"


@dataclass(slots=True, kw_only=True)
class Proof:
    """A stage with devices, and what has come of each campaign so far."""

    stage: Stage
    devices: Sequence[Device]
    key: str
    tell: Callable[[str], None]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    #: token -> runs that it was tried in: its badge
    tried: Counter[str] = field(default_factory=Counter)

    async def play(self, act: Act) -> None:
        """Have a campaign run by itself, and hold all ledgers together."""
        before = Before(
            retired=await facts.read_retired(self.stage.dsn),
            contacts=facts.contacts(read_receipts(self.stage.gateways.ledger_files)),
        )
        await self.stage.gateways.reset()
        begun = datetime.now(UTC)
        push = await self._run(act, begun + SOON)
        report = await self._get(f"/v1/pushes/{push['id']}/report")
        after = After(
            ledger=await facts.read_ledger(self.stage.dsn, push["id"]),
            receipts=await asyncio.to_thread(read_receipts, self.stage.gateways.ledger_files),
            texts=await facts.read_texts(self.stage.gateways, act.contents.values()),
            report=report,
            begun=begun,
            closed=datetime.now(UTC),
        )
        verdict = judge(act, self.devices, before, after)
        self.verdicts[act.name] = verdict
        # One run is all there is of the campaign.
        of_campaign = await self._get(f"/v1/campaigns/{act.name}/report")
        verdict.compare(f"{act.name}: its report", of_campaign["total"], report["total"])
        for token, ends in after.ledger.items():
            self.tried[token] += OUTCOME_OF[ends[0].outcome] is not Outcome.EXCLUDED
        self.tell(f"{act.name}: {dict(verdict.outcomes)}, {verdict.differences} differences")

    async def judge_badges(self) -> None:
        """Hold badges against the runs: who was left out has kept its own."""
        verdict = Verdict()
        badges = await facts.read_badges(self.stage.dsn)
        for device in self.devices:
            name = f"the badge of {device.token}"
            verdict.compare(name, badges[device.token], self.tried[device.token])
        self.verdicts["badges"] = verdict

    async def _run(self, act: Act, at: datetime) -> dict[str, Any]:
        """Store a campaign, and return the push of its run when that is closed."""
        await self._ask("POST", "/v1/campaigns", act.definition(at))

        async def pushed() -> str | None:
            found = await self._get(f"/v1/campaigns/{act.name}/runs")
            return next((run["push_id"] for run in found["runs"]), None)

        number = await until(pushed)
        started = time.monotonic()

        async def closed() -> dict[str, Any] | None:
            found = await self._get(f"/v1/pushes/{number}")
            return found if found["state"] not in {"waiting", "planning", "sending"} else None

        push: dict[str, Any] = await until(closed, seconds=CLOSE_SECONDS)
        self.seconds[act.name] = round(time.monotonic() - started, 1)
        return push

    async def _get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path, None)

    async def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.stage.session.request(
            method, f"{self.stage.api_url}{path}", json=body, headers=headers
        ) as response:
            found: dict[str, Any] = await response.json()
        if not response.ok:
            message = f"{method} {path}: {response.status} {found}"
            raise RuntimeError(message)
        return found

    def figures(self) -> dict[str, Any]:
        """Return what came of it."""
        verdicts = self.verdicts.values()
        return {
            "case": "campaign",
            "devices": len(self.devices),
            "zones": len({device.zone for device in self.devices} - {None}),
            "faulty": sum(device.answer != 1 for device in self.devices),
            "campaigns": {
                name: dict(sorted(verdict.outcomes.items()))
                for name, verdict in self.verdicts.items()
                if verdict.outcomes
            },
            "deferred": sum(verdict.deferred for verdict in verdicts),
            "report_lines": sum(verdict.lines for verdict in verdicts),
            DIFFERENCES: sum(verdict.differences for verdict in verdicts),
            "seconds": self.seconds,
            "examples": [one for verdict in verdicts for one in verdict.examples],
        }


async def run(
    count: int, *, seed: int, waits: bool, directory: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Run the campaigns; return the figures. With `waits`, quiet hours are waited for."""
    knobs = (f"ledger_entries={ENTRIES_PER_DEVICE * count}",)
    async with staged(directory, tell, settings=SETTINGS, knobs=knobs) as stage:
        proof = await _prepared(stage, world.devices(count, seed=seed), tell=tell)
        await proof.play(acts.early())
        await proof.play(acts.sale(datetime.now(UTC)))
        await proof.play(acts.rest(datetime.now(UTC), waits=waits))
        await proof.judge_badges()
        return proof.figures()


async def _prepared(
    stage: Stage, devices: Sequence[Device], *, tell: Callable[[str], None]
) -> Proof:
    told = senders.make(0)
    senders.write(stage.gateways.directory, [told], token_uri=stage.gateways.token_uri)
    await stage.simulate()
    engine = create_engine(stage.environment["PUSHSVC_DATABASE_URL"], connections=2)
    try:
        await migrate.upgrade(engine)
        app, keys = await make_app(stage, engine, "campaigns", told)
        for first in range(0, len(devices), IMPORT_ROWS):
            some = [one.body(senders.topic(0)) for one in devices[first : first + IMPORT_ROWS]]
            async with engine.begin() as connection:
                rows = [parse_installation_row(body) for body in some]
                await import_installations(connection, app.id, rows)
    finally:
        await engine.dispose()
    tell(f"{len(devices):,} devices are stored")
    await stage.serve()
    return Proof(stage=stage, devices=devices, key=keys.api, tell=tell)
