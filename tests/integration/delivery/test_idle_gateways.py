"""Gateways of apps that send nothing any more are closed."""

from pushsvc.clock import SystemClock
from pushsvc.delivery.apns.provider_token import LocalMoments
from pushsvc.delivery.gateways import IDLE_SECONDS, Gateways
from pushsvc.delivery.pacing import Pacing
from pushsvc.delivery.tokens import LocalTokenStore
from pushsvc.model import Credential, GatewayName
from pushsvc.resources import Resources
from tests.integration.delivery.building import credential, settings_for
from tests.integration.delivery.sending import Clients, apns_shape


class MovedClock(SystemClock):
    """A clock that a test moves on."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return what the test says."""
        return self.seconds


async def test_gateways_of_an_app_that_is_quiet_are_opened_anew(
    clients: Clients, resources: Resources
) -> None:
    """After an hour they are closed, so that their number is bounded by who sends."""
    clock = MovedClock()

    async def load(_app_id: int) -> list[Credential]:
        return [credential(clients, GatewayName.APNS)]

    gateways = Gateways(
        settings_for(clients, "wire"),
        load=load,
        store=LocalTokenStore(),
        clock=clock,
        moments=LocalMoments(clock),
        pacing=Pacing(resources.queue.redis, clock=clock),
    )
    shape = apns_shape()
    quiet, busy = (await gateways.of(1)).choose(shape), (await gateways.of(2)).choose(shape)
    for _ in range(2):
        clock.seconds += IDLE_SECONDS * 0.6
        assert (await gateways.of(2)).choose(shape) is busy

    assert (await gateways.of(1)).choose(shape) is not quiet
    await gateways.close()
