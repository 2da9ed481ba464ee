"""The shaping case: messages made ready for the wire, one process, nothing sent.

Half of the devices are iOS, half Android, in five locales of which the content knows two, with
badges from 1 to 200 that the push increments. A message is finished when its body is one piece of
bytes, a device's own badge, token and texts in it. Beside it, in the same run, what aioapns and
pyfcm do before they write a message: a request object or a dict, and `json.dumps`; with Jinja's own
`render` for texts with variables.
"""

import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

import orjson
from aioapns import NotificationRequest
from jinja2 import Template
from pyfcm import FCMNotification  # type: ignore[import-untyped]  # no types
from rich.progress import Progress

from pushsvc.model import ApnsShape, Device, FcmShape, Json
from pushsvc.shaping.body import Envelope, Shaper, check_content

DEVICES: Final = 200_000
#: Devices in a batch: a new Shaper for each, as a worker makes it.
BATCH: Final = 1_000
ROUNDS: Final = 5
LOCALES: Final = ("en-US", "fr-CA", "fr-FR", "de-DE", "es-MX")
BADGES: Final = 200
SEED: Final = 5

PLAIN: Final[Json] = {
    "data": {
        "title": "Half time",
        "title-fr": "Mi-temps",
        "alert": "The Giants lead by two goals",
        "alert-fr": "Les Giants mènent de deux buts",
        "alert-de": "Die Giants führen mit zwei Toren",
        "badge": "Increment",
        "sound": "goal.caf",
        "uri": "app://games/17",
    }
}
TEMPLATED: Final[Json] = {
    "data": {
        **PLAIN["data"],
        "alert": "{{ firstName | default('Friend') }}, the {{ team }} lead by two goals",
        "alert-fr": "{{ firstName | default('Ami') }}, les {{ team }} mènent de deux buts",
        "alert-de": "{{ firstName | default('Freund') }}, {{ team }} führt mit zwei Toren",
    }
}
_ENVELOPE: Final = Envelope(
    push_id=17,
    push_object_id="aBcDeFgHiJ",
    created_at=datetime(2026, 11, 26, tzinfo=UTC),
    expires_at=datetime(2026, 11, 27, tzinfo=UTC),
    now=datetime(2026, 11, 26, tzinfo=UTC),
)


async def run(devices: int, *, progress: Progress) -> dict[str, Any]:
    """Return messages per second, without variables and with them, and those of the peers."""
    audience = _audience(devices)
    cases = {"plain": PLAIN, "templated": TEMPLATED}
    task = progress.add_task("shaping", total=len(cases) * ROUNDS)
    figures: dict[str, Any] = {"case": "shaping", "devices": devices}
    for name, content in cases.items():
        check_content(content)
        figures[name] = _measured(content, audience, lambda: progress.advance(task))
    figures["messages_per_second"] = {n: figures[n]["messages_per_second"] for n in cases}
    some = audience[:BATCH]
    figures["same_messages"] = all(
        _as_json(_shaped(content, some)) == _as_json(_by_peers(content, some))
        for content in cases.values()
    )
    return figures


def _measured(content: Json, audience: list[Device], tell: Callable[[], None]) -> dict[str, float]:
    fewer = audience[: len(audience) // 10 or 1]
    ours, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        # In turns, so that what else the machine does meets both.
        ours.append(_rate(lambda: _shaped(content, audience)))
        theirs.append(_rate(lambda: _by_peers(content, fewer)))
        tell()
    rate, peers = statistics.median(ours), statistics.median(theirs)
    return {
        "messages_per_second": round(rate),
        "us_per_message": round(1e6 / rate, 2),
        "peers_per_second": round(peers),
        "ratio_to_peers": round(rate / peers, 1),
    }


def _audience(devices: int) -> list[Device]:
    chosen = random.Random(SEED)  # noqa: S311 - the same devices in every run
    kinds = itertools.cycle(("ios", "android"))
    return [
        Device(
            place % BATCH,
            kind,
            f"{place:064x}" if kind == "ios" else f"c{place:021d}:APA91b{place:0128d}",
            "com.example.app" if kind == "ios" else None,
            chosen.choice(LOCALES),
            chosen.randint(1, BADGES),
            fields={"team": "Giants"} | ({"firstName": f"Ann {place}"} if place % 3 else {}),
        )
        for place, kind in zip(range(devices), kinds, strict=False)
    ]


def _rate(work: Callable[[], Iterator[bytes]]) -> float:
    begun, done = time.perf_counter(), 0
    for _body in work():
        done += 1
    return done / (time.perf_counter() - begun)


def _shaped(content: Json, devices: Sequence[Device]) -> Iterator[bytes]:
    dumps = orjson.dumps
    for start in range(0, len(devices), BATCH):
        shape_of = Shaper(content, _ENVELOPE).shape
        for device in devices[start : start + BATCH]:
            shape = shape_of(device)
            if isinstance(shape, ApnsShape):
                yield shape.body
            elif isinstance(shape, FcmShape):
                yield shape.head + dumps(device.token) + shape.tail


# ---------------------------------------------------------------- what the stock senders do


def _by_peers(content: Json, devices: Sequence[Device]) -> Iterator[bytes]:
    fcm = FCMNotification(credentials=SimpleNamespace(project_id="p"))
    data = content["data"]
    texts = {name: Template(text) for name, text in data.items() if "{{" in text}
    for device in devices:
        french = (device.locale or "").startswith("fr")
        german = (device.locale or "").startswith("de")
        title = data["title-fr" if french else "title"]
        key = "alert-fr" if french else "alert-de" if german else "alert"
        alert = texts[key].render(device.fields) if key in texts else data[key]
        if device.device_type == "ios":
            yield _by_aioapns(data, device, title=title, alert=alert)
        else:
            yield _by_pyfcm(fcm, data, device, texts={"title": title, "alert": alert})


def _by_aioapns(data: Json, device: Device, *, title: str, alert: str) -> bytes:
    request = NotificationRequest(
        device.token,
        {
            "aps": {
                "sound": data["sound"],
                "alert": {"title": title, "body": alert},
                "badge": device.badge,
            },
            "uri": data["uri"],
        },
    )
    return json.dumps(request.message, ensure_ascii=False).encode()


def _by_pyfcm(fcm: FCMNotification, data: Json, device: Device, *, texts: Json) -> bytes:
    shown = {**texts, "sound": data["sound"], "uri": data["uri"]}
    strings = {
        "push_id": _ENVELOPE.push_object_id,
        "time": "2026-11-26T00:00:00.000Z",
        "data": json.dumps(shown, ensure_ascii=False),
    }
    android = {"priority": "HIGH", "ttl": "86400s", "data": strings}
    body = fcm.parse_payload(fcm_token=device.token, android_config=android)
    return body if isinstance(body, bytes) else str(body).encode()


def _as_json(bodies: Iterator[bytes]) -> list[Any]:
    """Return what the bodies say, for comparison: JSON within JSON read, too."""
    found = []
    for body in bodies:
        value = orjson.loads(body)
        message = value.get("message")
        if message is not None:
            message.pop("notification", None)
            message["android"]["data"]["data"] = orjson.loads(message["android"]["data"]["data"])
            value = message
        found.append(value)
    return found
