"""Storms by the control endpoint, and how connections end that are old, idle or too greedy."""

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from h2.errors import ErrorCodes

from pushsvc.simulators import Endpoints, Knobs, Simulators
from tests.integration.simulators.client import DEADLINE_SECONDS, Goaway, apns_fields, connect
from tests.integration.simulators.fcm_sender import fcm, message
from tests.integration.simulators.test_apns_faults import MAX_ID, MAX_STREAMS
from tests.integration.simulators.test_control import call
from tests.integration.simulators.wns_sender import wns

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'
STALL_SECONDS = 0.2


async def storm(simulators: Simulators, **members: Any) -> int:
    """Begin a storm over APNs; returns how many connections it struck."""
    status, told = await call(simulators, "POST", "/storm", {"gateway": "apns"} | members)
    assert status == 200, told
    return int(told["connections"])


async def until_listening(endpoints: Endpoints) -> None:
    """Connect to APNs until it is not refused."""
    address = urlsplit(endpoints.apns_url)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(address.hostname, address.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


@pytest.mark.parametrize("seconds", [0.1, 60])
async def test_refuse(simulators: Simulators, seconds: float) -> None:
    """Open connections end with RST, new ones are refused; it comes back by itself or when told."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender, wns(simulators) as other:
        assert await storm(simulators, storm="refuse", seconds=seconds) == 1
        assert await sender.until_end() == "reset"
        with pytest.raises(ConnectionRefusedError):
            await connect(endpoints.apns_url, endpoints).__aenter__()
        assert simulators.control.stats()["refusing"] == ["apns"]
        assert (await other.ask()).status == 200
        if seconds > DEADLINE_SECONDS:
            await call(simulators, "DELETE", "/storm")
        await until_listening(endpoints)
    async with connect(endpoints.apns_url, endpoints) as sender:
        assert (await sender.ask(apns_fields(endpoints), BODY)).status == 200


async def test_closing_while_away(secrets: Any) -> None:
    """Simulators close in the middle of an outage, and an outage twice at a time is refused."""
    async with Simulators(secrets) as simulators:
        for name in ("apns", "wns"):
            await storm(simulators, gateway=name, storm="refuse", seconds=60)
        status, told = await call(
            simulators, "POST", "/storm", {"gateway": "wns", "storm": "refuse", "seconds": 1}
        )

    assert (status, told["error"]) == (400, "wns refuses already")


async def test_silent_and_unavailable(simulators: Simulators) -> None:
    """Every request goes unanswered, or is answered 503, and nothing is taken until it ends."""
    endpoints = simulators.endpoints
    async with fcm(endpoints) as google, connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await storm(simulators, gateway="fcm", storm="unavailable", seconds=60)
        await storm(simulators, storm="silent", seconds=60)
        stream_id = await sender.send(apns_fields(endpoints), BODY)
        statuses = [(await google.ask(message())).status]
        await call(simulators, "POST", "/reset")
        statuses.append((await google.ask(message())).status)
        assert (await sender.ask(apns_fields(endpoints), BODY)).status == 200
        assert not sender.replies[stream_id].ended

    assert statuses == [503, 200]
    assert simulators.ledger.sums("apns").delivered == 1


async def test_goaway(simulators: Simulators) -> None:
    """Each connection gets a notice, and a GOAWAY with the last stream it has taken."""
    endpoints = simulators.endpoints
    async with (
        connect(endpoints.apns_url, endpoints) as one,
        connect(endpoints.apns_url, endpoints) as two,
    ):
        for _ in range(2):
            await two.ask(apns_fields(endpoints), BODY)
        assert await storm(simulators, storm="goaway") == 2
        await one.until_end()
        await two.until_end()

    notice = Goaway(MAX_ID, 0, b"")
    assert (one.goaways, two.goaways) == ([notice, Goaway(0, 0, b"")], [notice, Goaway(3, 0, b"")])


async def test_stall(simulators: Simulators) -> None:
    """Every n-th connection is not read for a while, then answers; others go on meanwhile."""
    endpoints = simulators.endpoints
    async with (
        connect(endpoints.apns_url, endpoints) as first,
        connect(endpoints.apns_url, endpoints) as second,
        wns(simulators) as windows,
    ):
        began = time.monotonic()
        members = {"storm": "stall", "seconds": STALL_SECONDS}
        assert await storm(simulators, **members, every=2) == 1
        assert await storm(simulators, gateway="wns", **members) == 1
        stalled = await second.send(apns_fields(endpoints), BODY)
        await first.ask(apns_fields(endpoints), BODY)
        assert not second.replies[stalled].ended
        assert (await second.reply(stalled)).status == 200
        assert (await windows.ask()).status == 200
    assert time.monotonic() - began >= STALL_SECONDS


BAD_STORMS = [
    pytest.param([], "a storm is an object", id="not an object"),
    pytest.param({"gateway": "apns"}, "a storm has gateway and storm", id="no storm"),
    pytest.param({"gateway": "apns", "storm": "x"}, "storm must be one of", id="unknown"),
    pytest.param({"gateway": "x", "storm": "goaway"}, "gateway must be one of", id="gateway"),
    pytest.param({"gateway": [], "storm": "goaway"}, "gateway must be a name", id="no name"),
    pytest.param({"gateway": "apns", "storm": "refuse"}, "seconds must be above 0", id="no time"),
    pytest.param({"gateway": "apns", "storm": "goaway", "every": 0}, "every must be 1", id="every"),
    pytest.param({"gateway": "apns", "storm": "goaway", "n": 1}, "unknown members: n", id="more"),
]


@pytest.mark.parametrize(("document", "sentence"), BAD_STORMS)
async def test_bad_storms(simulators: Simulators, document: Any, sentence: str) -> None:
    """A storm that makes no sense is 400 and says why."""
    status, told = await call(simulators, "POST", "/storm", document)

    assert (status, told["error"].startswith(sentence)) == (400, True)


IDLE = b'{"reason":"IdleTimeout"}'
ENDS: list[Any] = [
    pytest.param(Knobs(max_idle_seconds=0.05), [Goaway(1, 0, IDLE)], id="idle"),
    pytest.param(
        Knobs(max_age_seconds=0.05), [Goaway(MAX_ID, 0, b""), Goaway(1, 0, b"")], id="old"
    ),
]


@pytest.mark.parametrize(("knobs", "goaways"), ENDS)
async def test_life(simulators: Simulators, goaways: list[Goaway]) -> None:
    """A connection that is idle or old gets a GOAWAY that owns what was taken, and ends."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        assert await sender.until_end() == "eof"

    assert sender.goaways == goaways


@pytest.mark.parametrize("knobs", [Knobs(apns_strict_streams=True)])
async def test_strict_streams(simulators: Simulators) -> None:
    """With the knob a stream beyond the limit ends the connection, and is not taken."""
    endpoints = simulators.endpoints
    fields = apns_fields(endpoints, "ab" * 28 + "fa171300")
    async with connect(endpoints.apns_url, endpoints) as sender:
        # h2 would not let us send more than the server allows: so we forget what it allows.
        sender.h2.remote_settings.max_concurrent_streams = 100
        sender.h2.remote_settings.acknowledge()
        streams = [await sender.send(fields, BODY) for _ in range(3)]
        await sender.until(lambda: bool(sender.goaways))

    limit = ErrorCodes.REFUSED_STREAM
    assert sender.goaways == [Goaway(streams[0], limit, MAX_STREAMS)]
    assert simulators.ledger.sums("apns").delivered == 1
