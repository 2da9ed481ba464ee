"""The HTTP/2 side of the strict gateways: limits, refusals, GOAWAY, violations."""

import asyncio
import ssl
from urllib.parse import urlsplit

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, PingFrame

from pushsvc.simulators import Knobs, Simulators
from tests.integration.simulators.client import (
    DEVICE,
    Sender,
    apns_fields,
    connect,
)
from tests.integration.simulators.test_apns_faults import token_of

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'


async def burst(sender: Sender, simulators: Simulators, tokens: list[str]) -> list[int]:
    """Write requests in one go, whatever the limit; returns the stream ids."""
    fields = apns_fields(simulators.endpoints)
    for token in tokens:
        stream_id = sender.h2.get_next_available_stream_id()
        sender.expect(stream_id)
        changed = fields | {":path": f"/3/device/{token}"}
        del changed["apns-id"]
        sender.h2.send_headers(stream_id, list(changed.items()))
        sender.h2.send_data(stream_id, BODY, end_stream=True)
    sender.flush()
    return list(sender.replies)[-len(tokens) :]


async def test_limit_is_one_until_authorised(simulators: Simulators) -> None:
    """SETTINGS say 1 stream; after the first authorised request they say 1000."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        refused = await sender.ask(apns_fields(endpoints, authorization=None), BODY)
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: len(sender.limits) == 2)

    assert (refused.status, sender.limits) == (403, [1, 1000])


async def test_streams_beyond_the_limit_are_refused(simulators: Simulators) -> None:
    """The second stream of a new connection is refused and not processed; the first is answered."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        # h2 would not let us send more than the server allows: so we forget what it allows.
        sender.h2.remote_settings.max_concurrent_streams = 100
        sender.h2.remote_settings.acknowledge()
        tokens = [f"{number:064x}" for number in range(3)]
        streams = await burst(sender, simulators, tokens)
        replies = [await sender.reply(stream_id) for stream_id in streams]

    refused = ErrorCodes.REFUSED_STREAM
    assert [(200, None), (0, refused), (0, refused)] == [
        (reply.status, reply.reset) for reply in replies
    ]
    assert simulators.control.stats()["gateways"]["apns"]["wire"]["streams_refused"] == 2
    assert [delivered(simulators, token) for token in tokens] == [1, 0, 0]


async def test_a_thousand_streams(simulators: Simulators) -> None:
    """An authorised connection may have many requests in flight, more than one window's worth."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: sender.limits[-1] == 1000)
        tokens = [f"{number:064x}" for number in range(500)]
        replies = []
        for start in range(0, 500, 100):
            streams = await burst(sender, simulators, tokens[start : start + 100])
            replies += [await sender.reply(stream_id) for stream_id in streams]

    assert {200} == {reply.status for reply in replies}
    assert simulators.control.stats()["gateways"]["apns"]["delivered"] == 501


async def test_goaway_below_disowns_what_is_above(simulators: Simulators) -> None:
    """GOAWAY below N: streams up to N - 2 are answered, N and later ones are not processed."""
    endpoints = simulators.endpoints
    slow, struck, after = token_of("slow", 1), token_of("goaway_below"), "cd" * 32
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        first, second, third = await burst(sender, simulators, [slow, struck, after])
        await sender.until_end()

    assert second - 2 == first == sender.goaways[0].last
    assert [sender.replies[one].status for one in (first, second, third)] == [200, 0, 0]
    assert [delivered(simulators, token) for token in (slow, struck, after)] == [1, 0, 0]


async def test_goaway_takes_back_what_it_disowns(simulators: Simulators) -> None:
    """What was taken but not answered counts as not delivered once a GOAWAY disowns it."""
    endpoints = simulators.endpoints
    pending = token_of("never")
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await burst(sender, simulators, [pending, token_of("goaway_zero_error")])
        await sender.until_end()

    assert delivered(simulators, pending) == 0


async def test_graceful_goaway_owns_what_came_meanwhile(simulators: Simulators) -> None:
    """The last id of the second GOAWAY is the highest stream taken, and all of those finish."""
    endpoints = simulators.endpoints
    tokens = [token_of("goaway_graceful"), token_of("slow", 1), "cd" * 32]
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        streams = await burst(sender, simulators, tokens)
        await sender.until_end()

    assert [2**31 - 1, streams[-1]] == [goaway.last for goaway in sender.goaways]
    assert [sender.replies[one].status for one in streams] == [200] * 3


async def test_violation_ends_the_connection(simulators: Simulators) -> None:
    """What is not HTTP/2 is answered with GOAWAY and the end, and counted."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        sender.write(b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00")
        await sender.until_end()

    wire = simulators.control.stats()["gateways"]["apns"]["wire"]
    assert [goaway.code for goaway in sender.goaways] == [ErrorCodes.PROTOCOL_ERROR]
    assert (wire["violations"], len(wire["last_violations"])) == (1, 1)


async def test_http_1_1_is_refused(simulators: Simulators) -> None:
    """A sender that speaks HTTP/1.1 gets no answer to it."""
    endpoints = simulators.endpoints
    context = ssl.create_default_context(cafile=str(endpoints.ca_file))
    context.set_alpn_protocols(["http/1.1"])
    address = urlsplit(endpoints.apns_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context)
    writer.write(b"POST /3/device/ab HTTP/1.1\r\nhost: localhost\r\n\r\n")
    received = await asyncio.wait_for(reader.read(), 5)
    writer.transport.abort()

    assert b"HTTP/1.1" not in received
    assert simulators.control.stats()["gateways"]["apns"]["wire"]["violations"] == 1


async def test_certificate_names(simulators: Simulators) -> None:
    """The certificate is good for the real names, so that senders keep checking them."""
    endpoints = simulators.endpoints
    address = urlsplit(endpoints.apns_url)
    for name in ("api.push.apple.com", "fcm.googleapis.com", "db5.notify.windows.com"):
        context = ssl.create_default_context(cafile=str(endpoints.ca_file))
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection(
            address.hostname, address.port, ssl=context, server_hostname=name
        )
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.transport.abort()


async def test_indexing_is_noted(simulators: Simulators) -> None:
    """Paths that a sender puts into the dynamic table are warned of (h2 spares the token)."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)

    warnings = simulators.control.stats()["gateways"]["apns"]["warnings"]
    assert warnings == {":path was put into the dynamic table": 1}


async def test_answers_wait_for_the_window(simulators: Simulators) -> None:
    """A sender that gives no window gets the body of an answer when it does."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        sender.h2.update_settings({4: 0})
        sender.flush()
        stream_id = await sender.send(apns_fields(endpoints, token_of("bad_token")), BODY)
        reply = sender.replies[stream_id]
        await sender.until(lambda: reply.status == 400)
        assert reply.body == b""
        sender.h2.increment_flow_control_window(10, stream_id)
        sender.flush()
        await sender.until(lambda: len(reply.body) == 10)
        sender.h2.increment_flow_control_window(100, stream_id)
        sender.flush()
        await sender.reply(stream_id)

    assert reply.body == b'{"reason":"BadDeviceToken"}'


async def test_cancelled_request_is_answered_no_more(simulators: Simulators) -> None:
    """A sender that resets a slow stream frees its slot and gets nothing more on it."""
    endpoints = simulators.endpoints
    token = token_of("slow", 1)
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        stream_id = await sender.send(apns_fields(endpoints, token), BODY)
        sender.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        sender.flush()
        await sender.ask(apns_fields(endpoints, token_of("slow", 2)), BODY)

    (entry,), _ = simulators.ledger.page(gateway="apns", token=token, after=0, limit=1)
    wire = simulators.control.stats()["gateways"]["apns"]["wire"]
    assert (entry.delivered, entry.answered, wire["resets_received"]) == (True, False, 1)


async def test_senders_goaway_does_not_forfeit_answers(simulators: Simulators) -> None:
    """A sender that says GOAWAY still gets the answers it waits for."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        stream_id = await sender.send(apns_fields(endpoints, token_of("slow", 1)), BODY)
        sender.write(GoAwayFrame(0).serialize())
        reply = await sender.reply(stream_id)

    wire = simulators.control.stats()["gateways"]["apns"]["wire"]
    assert (reply.status, wire["goaways_received"]) == (200, 1)


async def test_apns_takes_any_number_of_pings(simulators: Simulators) -> None:
    """PINGs are answered and counted."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        for _ in range(10):
            sender.write(PingFrame(0, opaque_data=b"12345678").serialize())
        await sender.until(lambda: sender.ping_acks == 10)

    assert simulators.control.stats()["gateways"]["apns"]["wire"]["pings"] == 10


class TestLatency:
    """The latency knob."""

    @pytest.fixture
    def knobs(self) -> Knobs:
        """A little latency."""
        return Knobs(apns_token_update_seconds=0, latency_seconds=(0.01, 0.02))

    async def test_answers_come_late_but_come(self, simulators: Simulators) -> None:
        """Requests are judged after the latency."""
        endpoints = simulators.endpoints
        async with connect(endpoints.apns_url, endpoints) as sender:
            reply = await sender.ask(apns_fields(endpoints, DEVICE), BODY)

        assert reply.status == 200


def delivered(simulators: Simulators, token: str) -> int:
    """Deliveries to a token."""
    summary = simulators.ledger.summary("apns", token)
    return summary.delivered if summary else 0
