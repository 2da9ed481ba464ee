"""Stock aioapns and pyfcm in place of the wire: chosen by a setting, with the same requests."""

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import pytest
from pydantic import SecretStr
from pyfcm import FCMNotification  # type: ignore[import-untyped]  # no types
from requests.utils import default_headers

from pushsvc.config import SettingsError
from pushsvc.delivery.apns.client import ApnsGateway
from pushsvc.delivery.apns.stock import StockApnsGateway
from pushsvc.delivery.fcm.client import FcmGateway
from pushsvc.delivery.fcm.stock import StockFcmGateway
from pushsvc.delivery.gateway import Gateway, Message
from pushsvc.delivery.wns.client import WnsGateway
from pushsvc.model import ACCEPTED, Device, FcmShape, GatewayName, OutcomeClass, Refused, Shape
from pushsvc.shaping.apns import PUSH_TYPES
from pushsvc.shaping.body import Envelope, Shaper, check_content
from pushsvc.simulators import Simulators
from pushsvc.simulators.ledger import Entry
from pushsvc.simulators.script import Rule
from tests.integration.delivery.building import (
    Build,
    Transport,
    builder_of,
    device,
    entries,
    settings_for,
)
from tests.integration.delivery.sending import (
    FCM_SHAPE,
    TOPIC,
    Clients,
    apns_shape,
    apns_token,
    send,
    send_messages,
)

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across

CREATED: Final = datetime(2026, 11, 22, 10, 30, 0, 250_000, tzinfo=UTC)
EXPIRIES: Final = (None, datetime(2030, 1, 1, tzinfo=UTC))
COLLAPSE_IDS: Final = (None, "score", "für ✓")
PRIORITIES: Final = (None, 1, 5, 10)
DATA: Final[tuple[dict[str, Any], ...]] = (
    {"alert": "Hi"},
    {"alert": {"title": "Grüße 👋", "body": 'say "hi"\n\\ / \u2028', "loc-args": ["a", "é"]}},
    {"content-available": 1},
    {"alert": "日本語", "badge": 7, "sound": "a.caf", "category": "c", "n": [1, -2.5, 1e-7, 2**63]},
    {"alert": "x" * 2000, "title": "T", "mutable-content": 1, "deep": {"a": {"b": [None, True]}}},
    {"aps": {"alert": "own", "interruption-level": "time-sensitive"}, "uri": "app://x?y=1&z=%20"},
)
NOTIFICATION: Final = {"title": "Ü", "body": "✓", "channelId": "c", "priority": "high"}


def shapes(
    name: GatewayName, *, data: Iterable[dict[str, Any]] = DATA, **options: Any
) -> Iterable[Shape]:
    """The shapes of a gateway for all data, expiries, collapse ids and priorities."""
    combinations = itertools.product(data, EXPIRIES, COLLAPSE_IDS, PRIORITIES)
    for number, (one, expires_at, collapse_id, priority) in enumerate(combinations):
        steering = {"collapse_id": collapse_id, "priority": priority, **options}
        content = {"data": one} | {k: v for k, v in steering.items() if v is not None}
        check_content(content)
        envelope = Envelope(
            push_id=number,
            push_object_id=f"push{number}",
            created_at=CREATED,
            expires_at=expires_at,
            now=CREATED + timedelta(minutes=1),
        )
        kind = {GatewayName.APNS: "ios", GatewayName.FCM: "android"}[name]
        shape = Shaper(content, envelope).shape(Device(0, kind, "t", TOPIC, None, None))
        assert not isinstance(shape, Refused)
        yield shape


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What the two send in a field, None for nothing; as it differs in every request."""

    wire: str | None
    stock: str | None
    why: str


AIOAPNS_DIFFERS: Final = {
    ":authority": Difference(
        wire="{address}",
        stock=None,
        why="aioapns names the server in host; RFC 9113 8.3.1 asks clients for :authority",
    ),
    "host": Difference(wire=None, stock="127.0.0.1", why="see :authority; without the port"),
}
PYFCM_DIFFERS: Final = {
    ":scheme": Difference(wire="https", stock=None, why="HTTP/1.1 does not say it"),
    ":authority": Difference(wire="{address}", stock=None, why="HTTP/1.1 has host"),
    ":version": Difference(wire=None, stock="HTTP/1.1", why="the simulator notes it of HTTP/1.1"),
    "host": Difference(wire=None, stock="{address}", why="see :authority"),
    "connection": Difference(wire=None, stock="keep-alive", why="HTTP/2 forbids it"),
    "content-length": Difference(wire=None, stock="{length}", why="HTTP/2 frames the body"),
    "accept": Difference(wire=None, stock="*/*", why="requests adds it; FCM answers JSON anyway"),
    "accept-encoding": Difference(
        wire=None,
        stock="{encodings}",
        why="requests adds it; answers are too small to be worth a decoder",
    ),
    "user-agent": Difference(
        wire=None, stock="python-requests/{requests}", why="requests adds it; we do not say"
    ),
}


async def test_aioapns_sends_the_requests_of_the_wire(build: Build, simulators: Simulators) -> None:
    """Path and fields are equal but for what is listed, and the body is the same JSON.

    Its text is another: aioapns writes it anew, with a space after each comma and colon.
    """
    usual = shapes(GatewayName.APNS)
    typed = (shapes(GatewayName.APNS, data=DATA[:2], push_type=kind) for kind in PUSH_TYPES)
    messages = [
        (number, number, apns_token(number), shape)
        for number, shape in enumerate(itertools.chain(usual, *typed))
    ]
    by_wire, by_stock = await recorded(
        [build(GatewayName.APNS, "wire"), build(GatewayName.APNS, "aioapns")], messages, simulators
    )

    for token, wire in by_wire.items():
        assert_differ(wire, by_stock[token], AIOAPNS_DIFFERS, simulators)
        assert orjson.loads(wire.payload) == orjson.loads(by_stock[token].payload)
        assert wire.payload != by_stock[token].payload
        assert wire.warnings == ()
        # Apple asks not to, but aioapns leaves it to its HPACK encoder.
        assert by_stock[token].warnings == (":path was put into the dynamic table",)


async def test_pyfcm_sends_the_requests_of_the_wire(build: Build, simulators: Simulators) -> None:
    """Path and fields are equal but for what is listed, and the body to the byte."""
    plain = shapes(GatewayName.FCM)
    shown = shapes(GatewayName.FCM, notification=NOTIFICATION)
    messages = [
        (number, number, device(number), shape)
        for number, shape in enumerate(itertools.chain(plain, shown))
    ]
    by_wire, by_stock = await recorded(
        [build(GatewayName.FCM, "wire"), build(GatewayName.FCM, "pyfcm")], messages, simulators
    )

    for token, wire in by_wire.items():
        assert_differ(wire, by_stock[token], PYFCM_DIFFERS, simulators)
        assert wire.payload == by_stock[token].payload


def test_pyfcm_s_own_payload_is_ours() -> None:
    """Given the same parts, pyfcm's builder makes the same JSON, but for `validate_only`."""
    builder = FCMNotification(credentials=SimpleNamespace(project_id="p"))
    for shape in itertools.chain(
        shapes(GatewayName.FCM), shapes(GatewayName.FCM, notification=NOTIFICATION)
    ):
        assert isinstance(shape, FcmShape)
        ours = orjson.loads(shape.head + b'"token"' + shape.tail)
        message = ours["message"]
        shown = {f"notification_{k}": v for k, v in message.get("notification", {}).items()}
        theirs = builder.parse_payload(
            fcm_token=message["token"],
            data_payload=message.get("data"),
            android_config=message.get("android"),
            **shown,
        )
        # It writes an empty notification where there is none.
        with_theirs = {"notification": {}, **message}
        assert orjson.loads(theirs) == {"message": with_theirs, "validate_only": False}


async def recorded(
    gateways: Iterable[Gateway[Any]], messages: list[Message[Any]], simulators: Simulators
) -> list[dict[str, Entry]]:
    """Send all messages through each gateway; what the ledger has then, by token."""
    found = []
    for gateway in gateways:
        simulators.reset()
        settled = await send_messages(gateway, messages)
        assert set(settled.values()) == {ACCEPTED}
        (name,) = simulators.ledger.counts
        sums = simulators.ledger.sums(name)
        assert (sums.requests, sums.duplicates) == (len(messages), 0)
        found.append({entry.token: entry for entry in entries(simulators, name)})
    return found


def assert_differ(
    wire: Entry, stock: Entry, listed: dict[str, Difference], simulators: Simulators
) -> None:
    """What is listed differs, as it says; nothing else does."""
    ours, theirs = dict(wire.fields), dict(stock.fields)
    words = {
        "address": urlsplit(getattr(simulators.endpoints, f"{wire.gateway}_url")).netloc,
        "length": str(len(stock.payload)),
        "encodings": default_headers()["Accept-Encoding"],
        "requests": version("requests"),
    }
    found = {
        name: (ours.get(name), theirs.get(name))
        for name in ours.keys() | theirs.keys()
        if ours.get(name) != theirs.get(name)
    }
    assert found == {
        name: tuple(text and text.format(**words) for text in (one.wire, one.stock))
        for name, one in listed.items()
    }


# -- As a gateway ---------------------------------------------------------------------------

STOCK: Final = [
    pytest.param(GatewayName.APNS, "aioapns", id="aioapns"),
    pytest.param(GatewayName.FCM, "pyfcm", id="pyfcm"),
]


@pytest.mark.parametrize(("name", "transport"), STOCK)
async def test_nobody_listens(name: GatewayName, transport: Transport, build: Build) -> None:
    """Every message is safe to send later, and only a few are tried now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"https://127.0.0.1:{port}"
    gateway = build(name, transport, apns_url=url, fcm_url=url)
    answers = await send(gateway, tokens_of(name, 500), shape_of(name))

    assert {answer.outcome for answer in answers.values()} == {O.RETRY_SAFE}
    assert Counter(answer.reason for answer in answers.values())["NotSent"] > 480


@pytest.mark.parametrize(("name", "transport"), STOCK)
async def test_a_gateway_that_is_silent(
    *, name: GatewayName, transport: Transport, build: Build, simulators: Simulators
) -> None:
    """What it has read is unknown; that is a few, and the rest waits for a later attempt."""
    simulators.script.add(Rule(gateway=name, scope="every", fault="never"))
    gateway = build(name, transport, gateway_timeout_seconds=0.2)
    answers = await send(gateway, tokens_of(name, 500), shape_of(name))

    outcomes = Counter(answer.outcome for answer in answers.values())
    assert outcomes.keys() == {O.UNKNOWN, O.RETRY_SAFE}
    assert outcomes[O.UNKNOWN] == simulators.ledger.sums(name).requests < 20


@pytest.mark.parametrize(("name", "transport"), STOCK)
async def test_senders_at_once(
    *, name: GatewayName, transport: Transport, build: Build, simulators: Simulators
) -> None:
    """Many batches on one gateway share its connections; every device once."""
    gateway, shape = build(name, transport), shape_of(name)
    messages = [(n, n, token, shape) for n, token in enumerate(tokens_of(name, 400))]
    answers = await asyncio.gather(
        *(send_messages(gateway, messages[n : n + 20]) for n in range(0, 400, 20))
    )

    assert {answer for batch in answers for answer in batch.values()} == {ACCEPTED}
    sums = simulators.ledger.sums(name)
    assert (sums.requests, sums.delivered) == (400, 400)
    assert len({entry.connection for entry in entries(simulators, name)}) <= 2


@pytest.mark.parametrize(("name", "transport"), STOCK)
async def test_a_closed_gateway_takes_nothing(
    *, name: GatewayName, transport: Transport, build: Build, simulators: Simulators
) -> None:
    """What is sent after the end is safe to send elsewhere."""
    gateway = build(name, transport)
    await send(gateway, tokens_of(name, 1), shape_of(name))
    await gateway.close()
    answers = await send(gateway, tokens_of(name, 3), shape_of(name))

    assert {answer.outcome for answer in answers.values()} == {O.RETRY_SAFE}
    assert len(entries(simulators, name)) == 1


def tokens_of(name: GatewayName, count: int) -> list[str]:
    make = apns_token if name is GatewayName.APNS else device
    return [make(number) for number in range(count)]


def shape_of(name: GatewayName) -> Any:
    return apns_shape() if name is GatewayName.APNS else FCM_SHAPE


# -- The setting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transport", "kinds"),
    [
        ("wire", [ApnsGateway, FcmGateway, WnsGateway]),
        ("aioapns", [StockApnsGateway, FcmGateway, WnsGateway]),
        ("pyfcm", [ApnsGateway, StockFcmGateway, WnsGateway]),
    ],
)
async def test_the_setting_chooses_the_sender_of_one_gateway(
    transport: Transport, kinds: list[type], build: Build
) -> None:
    """The others stay on the wire."""
    assert [type(build(name, transport)) for name in GatewayName] == kinds


async def test_aioapns_and_a_proxy_exclude_each_other(clients: Clients) -> None:
    """Said at the start, and not by messages that go nowhere."""
    settings = settings_for(
        clients, "aioapns", gateway_proxy_url=SecretStr("http://127.0.0.1:3128")
    )
    with pytest.raises(SettingsError, match="PUSHSVC_TRANSPORT"):
        builder_of(clients, settings)
