"""The corners of the wire: what is refused late, disowned half-way, or sent to a deaf sender."""

from typing import Any

import aiohttp
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import PingFrame

from pushsvc.simulators import Simulators
from tests.integration.simulators.client import Sender, apns_fields, connect
from tests.integration.simulators.fcm_sender import fcm, fields, http1, message
from tests.integration.simulators.test_apns_faults import token_of

pytestmark = pytest.mark.integration

MEGABYTE = 1 << 20
#: More megabytes than all buffers on the way hold.
HUGE_ANSWERS = 16
BODY = b'{"aps":{"alert":"hello"}}'


def forget_the_limit(sender: Sender) -> None:
    """h2 would not let us send more than the server allows: make it forget what it allows."""
    sender.h2.remote_settings.max_concurrent_streams = 10_000
    sender.h2.remote_settings.acknowledge()


def wire_of(simulators: Simulators, gateway: str = "apns") -> dict[str, Any]:
    """The counters of a gateway's wire."""
    wire: dict[str, Any] = simulators.control.stats()["gateways"][gateway]["wire"]
    return wire


async def test_bodies_in_pieces(simulators: Simulators) -> None:
    """A body may come frame by frame, and more of it than a stream's window."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        stream_id = await sender.send(apns_fields(endpoints), b"{", end=False)
        for piece in (b"x" * 100_000, b"}"):
            await sender.send_body(stream_id, piece, end=piece == b"}")
        reply = await sender.reply(stream_id)

    (entry,), _ = simulators.ledger.page(gateway="apns", token=None, after=0, limit=1)
    assert (reply.status, entry.payload_bytes) == (413, 100_002)


async def test_refusal_comes_at_the_end_of_the_request(simulators: Simulators) -> None:
    """A stream beyond the limit is refused once, when it has ended; a cancelled one never."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        forget_the_limit(sender)
        pending = await sender.send(apns_fields(endpoints), b"{", end=False)
        refused = await sender.send(apns_fields(endpoints), b"{", end=False)
        cancelled = await sender.send(apns_fields(endpoints), b"{", end=False)
        sender.h2.reset_stream(cancelled, ErrorCodes.CANCEL)
        await sender.send_body(refused, b"}")
        await sender.send_body(pending, b"}")
        replies = [await sender.reply(stream_id) for stream_id in (pending, refused)]
        again = await sender.ask(apns_fields(endpoints), BODY)

    assert [(reply.status, reply.reset) for reply in replies] == [
        (200, None),
        (0, ErrorCodes.REFUSED_STREAM),
    ]
    assert again.status == 200
    assert wire_of(simulators)["streams_refused"] == 2


async def test_too_many_streams_that_wait_to_be_refused(simulators: Simulators) -> None:
    """Who opens streams without end, far beyond the limit, is told to calm down."""
    endpoints = simulators.endpoints
    fields = apns_fields(endpoints)
    async with connect(endpoints.apns_url, endpoints) as sender:
        forget_the_limit(sender)
        for _ in range(1100):
            stream_id = sender.h2.get_next_available_stream_id()
            sender.expect(stream_id)
            sender.h2.send_headers(stream_id, list(fields.items()))
        sender.flush()
        await sender.until_end()

    assert [goaway.code for goaway in sender.goaways] == [ErrorCodes.ENHANCE_YOUR_CALM]


async def test_streams_after_a_goaway_are_not_processed(simulators: Simulators) -> None:
    """Streams above the GOAWAY, half-sent or opened later, are taken down as disowned."""
    endpoints = simulators.endpoints
    half, late = "cd" * 32, "ef" * 32
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        slow = await sender.send(apns_fields(endpoints, token_of("slow", 2)), BODY)
        struck = await sender.send(
            apns_fields(endpoints, token_of("goaway_below")), b"{", end=False
        )
        above = await sender.send(apns_fields(endpoints, half), b"{", end=False)
        await sender.send_body(struck, b"}")
        await sender.until(lambda: bool(sender.goaways))
        await sender.send_body(above, b"}")
        await sender.send(apns_fields(endpoints, late), BODY)
        reply = await sender.reply(slow)
        await sender.until_end()

    faults = {}
    for token in (half, late):
        (entry,), _ = simulators.ledger.page(gateway="apns", token=token, after=0, limit=2)
        faults[token] = (entry.fault, entry.delivered, entry.answered)
    assert reply.status == 200
    assert faults == dict.fromkeys((half, late), ("disowned", False, False))


async def test_a_sender_that_does_not_read(simulators: Simulators) -> None:
    """Answers to a sender that reads nothing do not pile up: it is read no more until it reads."""
    endpoints = simulators.endpoints
    async with (
        connect(endpoints.apns_url, endpoints) as sender,
        connect(endpoints.apns_url, endpoints) as other,
    ):
        await sender.ask(apns_fields(endpoints), BODY)
        sender.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2 * MEGABYTE})
        sender.h2.increment_flow_control_window(HUGE_ANSWERS * 2 * MEGABYTE)
        sender.stop_reading()
        huge = apns_fields(endpoints, token_of("huge_body"))
        streams = [await sender.send(huge, BODY) for _ in range(HUGE_ANSWERS)]
        # What was read together with the requests would be heard: first they are all read.
        for _ in range(10):
            await other.ask(apns_fields(endpoints), BODY)
        sender.write(PingFrame(0, opaque_data=b"pingpong").serialize())
        for _ in range(10):
            await other.ask(apns_fields(endpoints), BODY)
        deaf = wire_of(simulators)["pings"]
        sender.resume_reading()
        replies = [await sender.reply(stream_id) for stream_id in streams]
        await sender.until(lambda: sender.ping_acks == 1)

    assert deaf == 0
    assert [len(reply.body) for reply in replies] == [MEGABYTE] * HUGE_ANSWERS


async def test_http2_faults_on_http_1_1(simulators: Simulators) -> None:
    """Where HTTP/1.1 has no such thing, the connection is closed, or the answer is plain."""
    endpoints = simulators.endpoints
    outcomes: dict[str, int | None] = {}
    async with fcm(endpoints) as sender, http1(endpoints) as session:
        headers = {
            name: value
            for name, value in fields(endpoints, sender.token).items()
            if not name.startswith(":")
        }
        path = fields(endpoints, sender.token)[":path"]
        for name in (
            "rst_internal", "rst_after_headers", "rst_noerror_after", "goaway_below",
            "goaway_graceful", "goaway_then_eof", "tcp_rst",
        ):  # fmt: skip
            try:
                async with session.post(
                    endpoints.fcm_url + path, json=message(f"device:1~{name}"), headers=headers
                ) as reply:
                    outcomes[name] = reply.status
            except aiohttp.ClientConnectionError:
                outcomes[name] = None

    assert outcomes == {
        "rst_internal": None,
        "rst_after_headers": None,
        "rst_noerror_after": 200,
        "goaway_below": None,
        "goaway_graceful": 200,
        "goaway_then_eof": None,
        "tcp_rst": None,
    }
