"""Credentials that are replaced while a push is sent: seen within seconds, and nobody is lost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select

from pushsvc import pipeline
from pushsvc.clock import SystemClock
from pushsvc.config import Settings
from pushsvc.delivery.gateways import RELOAD_SECONDS
from pushsvc.model import GatewayName, OutcomeClass
from pushsvc.storage import tables
from pushsvc.storage.credentials import add_credential, revoke_credential
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, until, working

pytestmark = pytest.mark.integration

#: Answered after 300 ms: on its way while the credential is replaced.
SLOW = "fa171203"


class LaterClock(SystemClock):
    """The clock of a process that looks again at once."""

    later = 0.0

    def monotonic(self) -> float:
        """Return seconds that only grow, and jump when they are told to."""
        return super().monotonic() + self.later


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators with batches of ten devices, without a worker."""
    small = settings.model_copy(update={"batch_size": 10, "gateway_connections": 1})
    async with open_site(small, app_row.app, tmp_path) as opened:
        yield opened


async def replace_apns_key(site: Site) -> None:
    """Revoke the app's key, and give it another one of the same team."""
    known = site.simulators.endpoints.credentials.apns
    p8 = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    named: dict[str, Any] = {
        "key_id": "OTHERKEY01",
        "team_id": known.team_id,
        "topics": list(known.topics),
    }
    site.simulators.registry.register({"apns": [{**named, "key": p8.decode()}]})
    columns = tables.credentials.c
    old = select(columns.id).where(columns.app_id == site.app.id, columns.gateway == "apns")
    async with site.engine.begin() as connection:
        await revoke_credential(connection, (await connection.execute(old)).scalar_one())
        await add_credential(
            connection,
            site.resources.seal,
            app=site.app,
            gateway=GatewayName.APNS,
            public=named,
            secret=p8.decode(),
        )


async def test_a_key_replaced_in_the_middle_of_a_push_loses_nobody(site: Site) -> None:
    """What is under way ends on the old connections, all later ones are new; each device once."""
    tokens = [apns_token(SLOW if place < 10 else "00000000") for place in range(20)]
    numbers = [await site.install(token) for token in tokens]
    gateways, clock = site.resources.gateways, LaterClock()
    gateways._clock = clock
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    first = asyncio.create_task(pipeline.deliver_batch(site.resources, push.id, 0))

    async def under_way() -> bool:
        return bool(site.sent())

    await until(under_way)
    await replace_apns_key(site)
    clock.later = RELOAD_SECONDS
    await pipeline.deliver_batch(site.resources, push.id, 1)
    await first
    async with working(site):
        await site.done(push)

    assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))
    assert [len([e for e in site.sent_to(token) if e.delivered]) for token in tokens] == [1] * 20
    old = {entry.connection for token in tokens[:1] for entry in site.sent_to(token)}
    new = {entry.connection for token in tokens[10:] for entry in site.sent_to(token)}
    assert old.isdisjoint(new)
    assert len({entry.credential for entry in site.sent()}) == 2
