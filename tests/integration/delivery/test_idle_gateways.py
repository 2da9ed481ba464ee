"""Gateways of apps that send nothing any more are closed; those of others are looked for once."""

import asyncio

from pushsvc.clock import Clock, SystemClock
from pushsvc.delivery.apns.provider_token import LocalMoments
from pushsvc.delivery.gateways import IDLE_SECONDS, AppGateways, Gateways, Load
from pushsvc.delivery.pacing import Pacing
from pushsvc.delivery.tokens import LocalTokenStore
from pushsvc.model import Credential, GatewayName
from pushsvc.resources import Resources
from tests.integration.delivery.building import credential, settings_for
from tests.integration.delivery.sending import Clients, apns_shape

#: Batches that ask at one moment.
TOGETHER = 5


class MovedClock(SystemClock):
    """A clock that a test moves on."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return what the test says."""
        return self.seconds


def gateways_of(clients: Clients, resources: Resources, load: Load, clock: Clock) -> Gateways:
    return Gateways(
        settings_for(clients, "wire"),
        load=load,
        store=LocalTokenStore(),
        clock=clock,
        moments=LocalMoments(clock),
        pacing=Pacing(resources.queue.redis, clock=clock),
    )


async def test_gateways_of_an_app_that_is_quiet_are_opened_anew(
    clients: Clients, resources: Resources
) -> None:
    """After an hour they are closed, so that their number is bounded by who sends."""
    clock = MovedClock()

    async def load(_app_id: int) -> list[Credential]:
        return [credential(clients, GatewayName.APNS)]

    gateways = gateways_of(clients, resources, load, clock)
    shape = apns_shape()
    quiet, busy = (await gateways.of(1)).choose(shape), (await gateways.of(2)).choose(shape)
    for _ in range(2):
        clock.seconds += IDLE_SECONDS * 0.6
        assert (await gateways.of(2)).choose(shape) is busy

    assert (await gateways.of(1)).choose(shape) is not quiet
    await gateways.close()


async def test_batches_that_begin_together_look_once(
    clients: Clients, resources: Resources
) -> None:
    """They have the gateways that one of them has found."""
    asked, loads = 0, 0
    all_asked = asyncio.Event()

    async def load(_app_id: int) -> list[Credential]:
        nonlocal loads
        loads += 1
        await all_asked.wait()
        return [credential(clients, GatewayName.APNS)]

    gateways = gateways_of(clients, resources, load, SystemClock())

    async def ask() -> AppGateways:
        nonlocal asked
        asked += 1
        if asked == TOGETHER:
            all_asked.set()
        return await gateways.of(1)

    found = await asyncio.gather(*(ask() for _ in range(TOGETHER)))

    assert loads == 1
    assert all(one is found[0] for one in found)
    await gateways.close()
