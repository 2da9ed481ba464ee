"""A push that was seen first: its preview is what is sent, and looking delivers nothing."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, select, update

from pushsvc import pipeline
from pushsvc.api.v1 import preview_views
from pushsvc.config import Settings
from pushsvc.errors import InvalidPushError
from pushsvc.model import OnUnknown, OutcomeClass, Source, Submission
from pushsvc.preview.look import PUSH_ID
from pushsvc.simulators.fcm.checks import content_bytes
from pushsvc.simulators.ledger import Entry
from pushsvc.storage import tables
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    apns_token,
    fcm_token,
    site as open_site,
    until,
    wns_channel,
    working,
)

pytestmark = pytest.mark.integration

CONTENT: dict[str, Any] = {
    "data": {
        "alert": "Hello {{ name | default('you') }}",
        "alert-de": "Hallo {{ name | default('du') }}",
        "badge": "Increment",
        "sound": "default",
        "kind": {"deep": [1, "\N{GRINNING FACE}"]},
    },
    "collapse_id": "greeting",
}
HELLO: dict[str, Any] = {"data": {"alert": "Hello"}}
#: Header fields of the wire, and those that belong to one push or to who sends.
UNSEEN = {
    *(
        ":method",
        ":path",
        ":scheme",
        ":authority",
        ":version",
        "host",
        "authorization",
        "content-length",
    ),
    *("apns-id", "accept", "accept-encoding", "user-agent"),
}


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def previewed(site: Site, content: Mapping[str, Any], **changes: Any) -> Any:
    submission = Submission(
        source=Source.V1, audience={"channels": ["all"]}, content=content, **changes
    )
    found = await pipeline.preview_push(site.resources, site.app, submission)
    return preview_views.shown(found)


def fields_of(entry: Entry) -> dict[str, str]:
    return {name: value for name, value in entry.fields if name not in UNSEEN}


def told(body: Any) -> bytes:
    """The bytes of a body that a preview shows."""
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


def as_previewed(payload: bytes, push_id: str) -> bytes:
    """A payload that was sent, with the preview's word for the push and for its time."""
    payload = payload.replace(push_id.encode(), PUSH_ID.encode())
    return _timeless(payload)


def _timeless(payload: bytes) -> bytes:
    """Without the moment at which the push was made, which Android devices are told."""
    before, sign, after = payload.partition(b'"time":"')
    return before + sign + after.partition(b'"')[2] if sign else payload


async def test_the_preview_is_what_is_sent_to_the_byte(site: Site) -> None:
    """For the device that it is shown for, but for the push's own id and the time it is made."""
    columns: dict[str, Any] = {
        "locale_identifier": "de-AT",
        "custom": {"name": "Zo\N{LATIN SMALL LETTER E WITH ACUTE}"},
    }
    for locale in ({}, columns):
        await site.install(apns_token(), "ios", **locale)
        await site.install(fcm_token(), "android", **locale)
        await site.install(wns_channel(), "winrt", **locale)

    found = await previewed(site, CONTENT, expiration_interval=3600)
    async with working(site):
        push = await site.done(await site.push(content=CONTENT, expiration_interval=3600))

    assert await site.outcomes(push) == {"sent": 6}
    shown = [one for one in found["variants"] if one["devices"]]
    assert len(shown) == 6
    sent = {dict(entry.fields)[":path"]: entry for entry in site.sent() if entry.gateway == "apns"}
    for one in shown:
        request = one["request"]
        entry = sent.get(request["path"]) or _entry(site, request)
        assert dict(entry.fields)[":method"] == request["method"]
        assert dict(entry.fields)[":path"] == request["path"]
        fields = {name.lower(): value for name, value in request["headers"].items()}
        seen = fields_of(entry)
        # The time to live is counted from the moment of sending, the expiry from that of storing.
        for name in ("x-wns-ttl", "apns-expiration"):
            if name in fields:
                assert abs(int(fields.pop(name)) - int(seen.pop(name))) <= 60
        assert {name: value for name, value in fields.items() if name != "apns-id"} == seen
        payload = as_previewed(entry.payload, push.object_id)
        assert _ttl_less(_timeless(told(request["body"]))) == _ttl_less(payload)
        assert one["size_bytes"] == _counted(entry)


def _entry(site: Site, request: Mapping[str, Any]) -> Entry:
    """What was sent to the token or channel of a request."""
    body = request["body"]
    if isinstance(body, dict):
        (entry,) = site.sent_to(body["message"]["token"])
    else:
        (entry,) = site.sent_to(f"https://db5.notify.windows.com{request['path']}")
    return entry


def _counted(entry: Entry) -> int:
    """The size of what was sent, as its gateway counts it."""
    if entry.gateway != "fcm":
        return entry.payload_bytes
    return content_bytes(orjson.loads(entry.payload)["message"])


def _ttl_less(payload: bytes) -> bytes:
    before, sign, after = payload.partition(b'"ttl":"')
    return before + sign + after.partition(b'"')[2] if sign else payload


async def test_looking_delivers_nothing_and_changes_no_badge(site: Site) -> None:
    """FCM is asked, and says what it would; APNs and WNS are not called."""
    numbers = [
        await site.install(apns_token(), "ios"),
        await site.install(wns_channel(), "winrt"),
        await site.install(fcm_token(), "android"),
    ]
    content = {"data": {"alert": "Hello", "badge": "Increment"}, "validate_only": True}

    async with working(site):
        push = await site.done(await site.push(content=content))

    assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.VALIDATED, ""))
    assert await site.outcomes(push) == {"validated": 3}
    (entry,) = site.sent()
    assert (entry.gateway, entry.delivered, entry.status) == ("fcm", False, 200)
    assert orjson.loads(entry.payload)["validate_only"] is True
    assert [await site.badge(number) for number in numbers] == [0, 0, 0]


async def test_looking_finds_what_sending_would(site: Site) -> None:
    """A token that FCM calls gone is retired; what needs no gateway is told without one."""
    gone = await site.install(fcm_token("~unregistered"), "android")
    refused = await site.install(fcm_token("~bad_token"), "android")
    junk = await site.install("no hex", "ios")
    retired = await site.install("http://s.notify.live.net/u/1", "winphone")
    homeless = await site.install(apns_token(), "ios", app_identifier=None)

    async with working(site):
        push = await site.done(
            await site.push(content={"data": {"alert": "x"}, "validate_only": True})
        )

    found = await site.ledger(push)
    assert found[gone] == (OutcomeClass.TOKEN_DEAD, "UNREGISTERED")
    assert found[refused][0] is OutcomeClass.TOKEN_DEAD
    assert found[junk] == (OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken")
    assert found[retired] == (OutcomeClass.REQUEST_BAD, "provider_retired")
    assert found[homeless] == (OutcomeClass.REQUEST_BAD, "MissingTopic")
    assert {entry.gateway for entry in site.sent()} == {"fcm"}
    i = tables.installations.c
    statement = select(i.id).where(i.app_id == site.app.id, i.token_retired_at.is_not(None))
    async with site.engine.connect() as connection:
        assert list((await connection.execute(statement)).scalars()) == [gone]


async def test_what_a_dead_worker_looked_at_is_looked_at_again(site: Site) -> None:
    """Nothing can be delivered twice, so `drop` has nothing to protect from."""
    number = await site.install(apns_token(), "ios")
    looked = {"data": {"alert": "x"}, "validate_only": True}
    push = await site.push(content=looked, on_unknown=OnUnknown.DROP)
    await pipeline.plan_push(site.resources, push.id)
    b = tables.batches
    async with site.engine.begin() as connection:
        await connection.execute(update(b).where(b.c.push_id == push.id).values(leases=1))

    async with working(site):
        push = await site.done(push)

    assert await site.ledger(push) == {number: (OutcomeClass.VALIDATED, "")}


async def test_looking_uses_no_saved_audience(site: Site) -> None:
    """Sending does; there must be one either way."""
    a = tables.audiences
    uses = select(a.c.times_used).where(a.c.app_id == site.app.id)
    row = {"app_id": site.app.id, "object_id": "audience01", "name": "All", "query": "{}"}
    async with site.engine.begin() as connection:
        await connection.execute(insert(a).values(row))
    asked: dict[str, Any] = {"audience": {"where": {}}, "audience_id": "audience01"}
    found = []
    for validate_only in (True, False):
        await site.push(**asked, content={**HELLO, "validate_only": validate_only})
        async with site.engine.connect() as connection:
            found.append((await connection.execute(uses)).scalar_one())

    assert found == [0, 1]
    with pytest.raises(InvalidPushError):
        await site.push(**asked | {"audience_id": "none"}, content={**HELLO, "validate_only": True})


async def test_a_message_that_is_only_looked_at_is_tried_again_as_any_other(site: Site) -> None:
    """And is the same at each attempt, though no badge was ever moved."""
    token = fcm_token("~unavailable-01")
    await site.install(token, "ios")
    content = {"data": {"alert": "Hello", "badge": "Increment"}, "validate_only": True}

    async def twice() -> bool:
        return len(site.sent_to(token)) >= 2

    async with working(site):
        await site.push(content=content)
        await until(twice)

    payloads = {entry.payload for entry in site.sent_to(token)}
    assert len(payloads) == 1
    message = orjson.loads(payloads.pop())["message"]
    assert message["apns"]["payload"]["aps"]["badge"] == 1
