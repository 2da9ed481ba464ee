"""What WNS refuses and takes, and every row of its fault table."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from pushsvc.simulators import Simulators
from pushsvc.simulators.registry import AccessToken
from pushsvc.simulators.wns.faults import FAULTS
from tests.integration.simulators.wns_sender import CHANNEL, HOST, PATH, TOAST, wns

pytestmark = pytest.mark.integration

PHONE = "/?token=phone-1"
RAW = {"X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream"}

REFUSALS: list[Any] = [
    pytest.param({"method": "GET"}, 405, id="GET"),
    pytest.param({"changes": {"Host": "example.com"}}, 404, id="other host"),
    pytest.param({"changes": {"Host": "evilnotify.windows.com"}}, 404, id="no dot before"),
    pytest.param({"path": "/"}, 404, id="no token in the URI"),
    pytest.param({"changes": {"Authorization": None}}, 401, id="no credential"),
    pytest.param({"changes": {"Authorization": "Bearer x"}}, 401, id="unknown credential"),
    pytest.param({"changes": {"X-WNS-Type": None}}, 400, id="no type"),
    pytest.param({"changes": {"X-WNS-Type": "wns/phone"}}, 400, id="unknown type"),
    pytest.param({"changes": {"X-WNS-Type": "wns/raw"}}, 400, id="raw as text/xml"),
    pytest.param({"changes": {"Content-Type": "text/html"}}, 400, id="other content type"),
    pytest.param({"changes": {"X-WNS-Cache-Policy": "maybe"}}, 400, id="cache policy"),
    pytest.param({"changes": {"X-WNS-TTL": "soon"}}, 400, id="TTL"),
    pytest.param(
        {"changes": {"X-WNS-TTL": "0", "X-WNS-Cache-Policy": "cache"}}, 400, id="TTL 0 cached"
    ),
    pytest.param({"changes": {"X-WNS-TTL": "0", "X-WNS-Type": "wns/tile"}}, 400, id="tile, TTL 0"),
    pytest.param({"changes": {"X-WNS-Tag": "x" * 17}}, 400, id="tag of 17"),
    pytest.param({"changes": {"X-WNS-Tag": "a-b"}}, 400, id="tag with a hyphen"),
    pytest.param({"changes": {"X-WNS-PRIORITY": "5"}}, 400, id="priority 5"),
    pytest.param({"changes": {"X-WNS-RequestForStatus": "yes"}}, 400, id="status request"),
    pytest.param({"changes": {"X-WNS-SuppressPopup": "true"}}, 400, id="phones only"),
    pytest.param({"path": PHONE, "changes": {"X-WNS-Group": "a-b"}}, 400, id="group"),
    pytest.param({"path": PHONE, "changes": {"X-WNS-SuppressPopup": "1"}}, 400, id="popup"),
    pytest.param({"path": PHONE, "changes": RAW | {"X-WNS-Group": "a"}}, 400, id="raw in a group"),
    pytest.param({"body": b""}, 400, id="empty toast"),
    pytest.param({"body": b"", "changes": RAW}, 400, id="empty raw"),
    pytest.param({"body": b"x" * 5001}, 413, id="5001 bytes"),
    pytest.param({"body": b"", "changes": {"Content-Length": None}}, 411, id="no length"),
    pytest.param(
        {
            "body": b"4\r\ntext\r\n0\r\n\r\n",
            "changes": {"Content-Length": None, "Transfer-Encoding": "chunked"},
        },
        400,
        id="chunked",
    ),
]


@pytest.mark.parametrize(("request_", "status"), REFUSALS)
async def test_refusals(simulators: Simulators, request_: dict[str, Any], status: int) -> None:
    """A request with one defect is refused with a description, and not delivered."""
    async with wns(simulators) as sender:
        answer = await sender.ask(**request_)

    (entry,), _ = simulators.ledger.page(gateway="wns", token=None, after=0, limit=10)
    assert (status, entry.reason) == (answer.status, answer.fields["x-wns-error-description"])
    assert (status, False) == (entry.status, entry.delivered)


ACCEPTED: list[Any] = [
    pytest.param(
        {
            "path": PHONE,
            "changes": {"X-WNS-Group": "a" * 16, "X-WNS-SuppressPopup": "true"},
        },
        id="a phone's toast",
    ),
    pytest.param({}, id="toast"),
    pytest.param({"changes": RAW, "body": b"\x00\x01"}, id="raw"),
    pytest.param({"changes": RAW | {"X-WNS-TTL": "0"}}, id="raw with TTL 0"),
    pytest.param({"changes": {"X-WNS-Type": "wns/badge", "X-WNS-TTL": "60"}}, id="badge with TTL"),
    pytest.param({"changes": {"X-WNS-Tag": "a" * 16, "X-WNS-PRIORITY": "4"}}, id="tag"),
    pytest.param({"body": b"<a>" + b"x" * 4993 + b"</a>"}, id="5000 bytes"),
]


@pytest.mark.parametrize("request_", ACCEPTED)
async def test_accepted(simulators: Simulators, request_: dict[str, Any]) -> None:
    """A good notification is received, delivered to the channel URI, and has an id."""
    async with wns(simulators) as sender:
        answer = await sender.ask(**request_)

    channel = f"https://{HOST}{request_['path']}" if "path" in request_ else CHANNEL
    (entry,), _ = simulators.ledger.page(gateway="wns", token=channel, after=0, limit=10)
    assert (answer.status, answer.fields["x-wns-status"]) == (200, "received")
    assert (True, entry.message_id) == (entry.delivered, answer.fields["x-wns-msg-id"])


async def test_status_of_the_device(simulators: Simulators) -> None:
    """Who asks for the device's status is told."""
    async with wns(simulators) as sender:
        answer = await sender.ask(changes={"X-WNS-RequestForStatus": "true"})

    assert answer.fields["x-wns-deviceconnectionstatus"] == "connected"


async def test_malformed_xml_is_received_with_a_warning(simulators: Simulators) -> None:
    """WNS takes any bytes; the ledger notes that Windows would drop them."""
    async with wns(simulators) as sender:
        answer = await sender.ask(body=b"<toast>")

    (entry,), _ = simulators.ledger.page(gateway="wns", token=None, after=0, limit=10)
    assert (answer.status, entry.warnings) == (200, ("the payload is not well-formed XML",))


async def test_expired_token(simulators: Simulators) -> None:
    """An expired access token is 401."""
    async with wns(simulators) as sender:
        sender.bearer = simulators.registry.wns_tokens.issue(
            AccessToken(subject="ms-app://x", expires_at=1)
        )
        answer = await sender.ask()

    assert (
        answer.status, answer.fields["x-wns-error-description"],
    ) == (401, "The access token expired")  # fmt: skip


@dataclass(frozen=True)
class Fate:
    """What becomes of a notification with this fault."""

    status: int = 0
    state: str | None = None
    end: str | None = None
    body: bytes = b""
    delivered: bool = False
    silent: bool = False
    reusable: bool = True
    marker: str = ""


FATES = {
    "ok": Fate(200, "received", delivered=True),
    "dropped": Fate(200, "dropped"),
    "channelthrottled": Fate(200, "channelthrottled"),
    "disconnected": Fate(200, "received", delivered=True),
    "bad_request": Fate(400),
    "unauth": Fate(401),
    "forbidden": Fate(403),
    "not_found": Fate(404),
    "method": Fate(405),
    "throttled": Fate(406),
    "gone": Fate(410),
    "domain_blocked": Fate(410),
    "too_large": Fate(413),
    "quota": Fate(429),
    "internal": Fate(500),
    "unavailable": Fate(503),
    "unavailable_first": Fate(503),
    "unknown_status": Fate(418),
    "slow": Fate(200, "received", delivered=True, marker="~slow-01"),
    "never": Fate(delivered=True, silent=True),
    "never_n": Fate(silent=True),
    "tcp_rst": Fate(end="reset", reusable=False),
    "close_before": Fate(end="eof", reusable=False, marker="~41-01", delivered=True),
    "blackhole": Fate(delivered=True, silent=True),
    "close_after": Fate(200, "received", delivered=True),
    "close_mid_body": Fate(
        200, "received", end="eof", body=b"half", delivered=True, reusable=False
    ),
    "chunked_response": Fate(410, body=b"gone"),
    "no_content_length": Fate(410, body=b"gone", reusable=False),
}


def test_table_is_covered() -> None:
    """Every row has its fate here."""
    assert {fault.name for fault in FAULTS} == set(FATES)


@pytest.mark.parametrize("name", FATES)
async def test_fault(simulators: Simulators, name: str) -> None:
    """The row does what it says, on the wire and in the ledger."""
    fate = FATES[name]
    marker = fate.marker or f"~{name}"
    async with wns(simulators) as sender:
        asking = asyncio.create_task(sender.ask(PATH + marker))
        if fate.silent:
            async with wns(simulators) as other:
                await other.ask()
                await other.ask()
            assert not asking.done()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        else:
            answer = await asking
            assert (fate.status, fate.state, fate.end, fate.body, fate.reusable) == (
                answer.status,
                answer.fields.get("x-wns-status"),
                answer.end,
                answer.body,
                answer.reusable,
            )

    (entry,), _ = simulators.ledger.page(gateway="wns", token=CHANNEL + marker, after=0, limit=10)
    assert (name, fate.delivered, fate.status) == (entry.fault, entry.delivered, entry.status)


async def test_close_after_closes_a_connection_that_looked_alive(simulators: Simulators) -> None:
    """The answer promises keep-alive, then the connection is closed: the race every pool has."""
    async with wns(simulators) as sender:
        answer = await sender.ask(f"{PATH}~close_after")

        assert "connection" not in answer.fields
        assert await sender.closed()


async def test_keep_alive(simulators: Simulators) -> None:
    """A connection serves many requests, also after refusals and odd answers."""
    async with wns(simulators) as sender:
        statuses = [
            (await sender.ask(path)).status
            for path in (PATH, f"{PATH}~gone", f"{PATH}~chunked_response", PATH)
        ]

    assert statuses == [200, 410, 410, 200]
    assert simulators.control.stats()["gateways"]["wns"]["wire"]["connections_opened"] == 1


async def test_retry_after(simulators: Simulators) -> None:
    """406, 429 and 503 carry Retry-After if there is a PP."""
    async with wns(simulators) as sender:
        answers = [
            await sender.ask(f"{PATH}~{marker}")
            for marker in ("throttled-0a", "quota-0a", "unavailable-0a", "unavailable")
        ]

    assert [answer.fields.get("retry-after") for answer in answers] == ["10", "10", "10", None]


async def test_first_n_then_ok(simulators: Simulators) -> None:
    """`~unauth-01` is refused once, then received."""
    async with wns(simulators) as sender:
        statuses = [(await sender.ask(f"{PATH}~unauth-01", TOAST)).status for _ in range(2)]

    assert statuses == [401, 200]
