"""The faults of APNs that are about the wire: python-hyper/h2 is the judge of what they send."""

from typing import Any

import pytest
from h2.events import PingReceived
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, Frame, PingFrame, RstStreamFrame, WindowUpdateFrame

from pushsvc.simulators import Simulators
from pushsvc.simulators.apns.faults import FAULTS
from pushsvc.simulators.illegal import FLOOD_FRAMES, reset_idle
from tests.integration.simulators.client import DEVICE, Sender, apns_fields, connect
from tests.integration.simulators.test_apns_faults import BODY, ILLEGAL_CODES, token_of

pytestmark = pytest.mark.integration

#: Legal frame by frame: h2 takes as many as come.
FLOODS = {"settings_flood", "ping_flood"}
#: h2 lets it pass.
UNJUDGED = {"reset_idle"}
ILLEGAL: list[Any] = [
    pytest.param(fault.name, parameter, id=f"{fault.name}-{parameter}")
    for fault in FAULTS
    if fault.code in ILLEGAL_CODES and fault.name not in FLOODS | UNJUDGED
    for parameter in ([0, 1] if fault.name == "window_illegal" else [0])
]


async def send(sender: Sender, simulators: Simulators, name: str, parameter: int = 0) -> int:
    """Ask for a fault; returns the stream."""
    fields = apns_fields(simulators.endpoints, token_of(name, parameter))
    return await sender.send(fields, BODY)


@pytest.mark.parametrize(("name", "parameter"), ILLEGAL)
async def test_illegal(simulators: Simulators, name: str, parameter: int) -> None:
    """h2 finds it illegal, nothing was delivered, and the simulator goes on for others."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await send(sender, simulators, name, parameter)
        assert await sender.until_end() == "fault"
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints), BODY)

    assert reply.status == 200
    (entry, _), _ = simulators.ledger.page(gateway="apns", token=None, after=0, limit=10)
    assert (entry.fault, entry.delivered, entry.answered) == (name, False, False)


@pytest.mark.parametrize("name", sorted(FLOODS))
async def test_flood(simulators: Simulators, name: str) -> None:
    """10,000 frames that each want an acknowledgement, and no answer."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        stream_id = await send(sender, simulators, name)
        await sender.until(lambda: max(len(sender.limits), sender.pings) >= FLOOD_FRAMES)
        assert not sender.replies[stream_id].ended


async def test_reset_of_an_idle_stream(simulators: Simulators) -> None:
    """The one illegal frame that h2 lets pass names a stream that nobody has opened."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        stream_id = await send(sender, simulators, "reset_idle")
        await elsewhere(simulators)

    octets = reset_idle(stream_id)
    frame, length = Frame.parse_frame_header(memoryview(octets)[:9])
    assert isinstance(frame, RstStreamFrame)
    assert frame.stream_id > stream_id
    assert len(octets) == 9 + length
    assert not sender.replies[stream_id].ended


async def test_interim_answer_and_trailers(simulators: Simulators) -> None:
    """103 has fields of its own and is no answer; trailers come behind the body."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        early, late = [
            await sender.reply(await send(sender, simulators, name))
            for name in ("informational", "trailers")
        ]

    assert (early.interim[":status"], early.status, early.trailers) == ("103", 200, {})
    assert (late.interim, late.status, set(late.trailers)) == ({}, 200, {"x-checksum"})


async def test_the_table_is_used(simulators: Simulators) -> None:
    """Fields are inserted and referred to, in this answer and in later ones; size updates too."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        for _ in range(3):
            reply = await sender.reply(await send(sender, simulators, "dyn_headers"))
            assert (reply.status, reply.fields["x-region"]) == (200, "eu-west-1")
        assert sender.h2.decoder.header_table.dynamic_entries


async def test_limits_in_turn(simulators: Simulators) -> None:
    """1, 1000, 1, 0 are told one by one before the answer, 1000 after it; each holds from its ACK.

    The sender takes what its limit allows at any time and no stream of it is refused.
    """
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: sender.limits[-1] == 1000)
        told = len(sender.limits)
        await sender.reply(await send(sender, simulators, "settings_seq"))
        await sender.until(lambda: len(sender.limits) == told + 5)

    assert sender.limits[told:] == [1, 1000, 1, 0, 1000]
    assert wire(simulators)["streams_refused"] == 0


async def test_a_lowered_limit_is_enforced(simulators: Simulators) -> None:
    """Once 1 is acknowledged, a second open stream is refused, until more is allowed again."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: sender.limits[-1] == 1000)
        running = await send(sender, simulators, "settings_seq")
        await sender.until(lambda: sender.limits[-1] == 1)
        # h2 would keep the limit by itself.
        sender.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
        sender.h2.remote_settings.acknowledge()
        refused = await sender.ask(apns_fields(endpoints), BODY)
        await sender.reply(running)
        await sender.until(lambda: sender.limits[-1] == 1000)
        taken = await sender.ask(apns_fields(endpoints), BODY)

    assert (refused.status, refused.reset, taken.status) == (0, 7, 200)
    assert wire(simulators)["streams_refused"] == 1


def wire(simulators: Simulators) -> dict[str, Any]:
    """What the wire of APNs counted."""
    counted: dict[str, Any] = simulators.control.stats()["gateways"]["apns"]["wire"]
    return counted


async def test_a_shrunk_window_is_enforced(simulators: Simulators) -> None:
    """DATA on a stream that has no window is an error of the sender, once it has said ACK."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await send(sender, simulators, "window_shrink", 50)
        await sender.until(lambda: sender.h2.remote_settings.initial_window_size == 0)
        blocked = await sender.send(apns_fields(endpoints), b"", end=False)
        sender.write(b"\x00\x00\x02\x00\x01" + blocked.to_bytes(4, "big") + b"{}")
        await sender.until_end()

    assert "FlowControlError" in wire(simulators)["last_violations"][-1]


async def test_a_shrunk_table_is_enforced(simulators: Simulators) -> None:
    """A sender that goes on with its table after its ACK is told by the end of the connection."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await send(sender, simulators, "table_size", 50)
        await sender.until(lambda: sender.h2.remote_settings.header_table_size == 0)
        # What h2 has noted down to say at its next block.
        sender.h2.encoder.header_table.maxsize = 4096
        sender.h2.encoder.table_size_changes.clear()
        await sender.send(apns_fields(endpoints), BODY)
        await sender.until_end()

    assert "table" in wire(simulators)["last_violations"][-1].lower()


async def test_the_window_is_starved(simulators: Simulators) -> None:
    """While it lasts a connection may send its 65,535 octets and no more; then it goes on."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: sender.limits[-1] == 1000)
        starving = await send(sender, simulators, "window_starved", 3)
        large = await sender.send(apns_fields(endpoints), b"x" * 100_000)
        assert sender.replies[starving].ended
        reply = await sender.reply(large)

    assert reply.status == 413


async def test_only_the_same_octets_are_an_echo(simulators: Simulators) -> None:
    """The answer waits for the echo of each PING; another ACK does not count."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        # h2 would echo them by itself.
        sender.h2._frame_dispatch_table[PingFrame] = lambda _: ([], [PingReceived(ping_data=b"")])
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: sender.limits[-1] == 1000)
        stream_id = await send(sender, simulators, "ping", 2)
        await sender.until(lambda: sender.pings == 2)
        sender.write(PingFrame(0, b"no echo!", flags=["ACK"]).serialize())
        other = await sender.ask(apns_fields(endpoints), BODY)
        assert not sender.replies[stream_id].ended
        for nth in range(2):
            octets = stream_id.to_bytes(4, "big") + nth.to_bytes(4, "big")
            sender.write(PingFrame(0, octets, flags=["ACK"]).serialize())
        reply = await sender.reply(stream_id)

    assert (other.status, reply.status) == (200, 200)


async def test_nothing_is_read_for_a_while(simulators: Simulators) -> None:
    """What is sent meanwhile is answered after the one that asked for it."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        await sender.until(lambda: sender.limits[-1] == 1000)
        stalled = await send(sender, simulators, "stall_read", 2)
        await elsewhere(simulators)
        later = await sender.ask(apns_fields(endpoints, DEVICE), BODY)

    assert sender.replies[stalled].ended
    assert later.status == 200


async def elsewhere(simulators: Simulators) -> None:
    """Others are answered; by then what was sent before has been read."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as other:
        for _ in range(3):
            await other.ask(apns_fields(endpoints), BODY)


async def test_a_body_that_is_cut(simulators: Simulators) -> None:
    """A sender may reset a body that waits for its window, in one breath with more window."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        stream_id = sender.h2.get_next_available_stream_id()
        # h2 would refuse what comes after its RST.
        sender.h2._frame_dispatch_table[DataFrame] = lambda _: ([], [])
        await send(sender, simulators, "huge_body")
        await sender.until(lambda: sender.replies[stream_id].status == 503)
        sender.write(
            WindowUpdateFrame(0, 1_000_000).serialize()
            + WindowUpdateFrame(stream_id, 1_000_000).serialize()
            + RstStreamFrame(stream_id, error_code=8).serialize()
        )
        reply = await sender.ask(apns_fields(endpoints), BODY)

    assert reply.status == 200
    assert wire(simulators)["resets_received"] == 1
