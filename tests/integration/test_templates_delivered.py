"""A push by a stored template, from submitting it to what the gateways get."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pushsvc import admission
from pushsvc.config import Settings
from pushsvc.model import OutcomeClass
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, fcm_token, site as open_site, working

pytestmark = pytest.mark.integration

SENT = (OutcomeClass.OK, "")


def missing(name: str) -> tuple[OutcomeClass, str]:
    """What becomes of a device that has no value for this variable."""
    return OutcomeClass.REQUEST_BAD, f"MissingVariable:{name}"


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def store(site: Site, name: str, **content: Any) -> None:
    """Store a template."""
    await admission.put_template(site.resources, site.app, name=name, content=content)


def alert_of(site: Site, token: str) -> Any:
    """Return the text that APNs got for a token."""
    (entry,) = site.sent_to(token)
    return orjson.loads(entry.payload)["aps"]["alert"]


async def test_a_missing_variable_fails_its_device_alone(site: Site) -> None:
    """Named in the ledger; a default in the text or in `variables` fails nobody."""
    await store(
        site,
        "order",
        data={"alert": "{{ shop }}: {{ firstName | default('friend') }}, {{ order.id }} is here"},
        variables={"shop": "Ours"},
    )
    both, order, null = apns_token(), apns_token(), apns_token()
    android = fcm_token()
    ledger = {
        await site.install(
            both, custom={"firstName": 'Zoë "Z"', "order": {"id": 7}, "shop": "Theirs"}
        ): SENT,
        await site.install(order, custom={"order": {"id": "A-1"}}): SENT,
        await site.install(android, "android", custom={"order": {"id": 8}}): SENT,
        await site.install(apns_token(), custom={"firstName": "Bo"}): missing("order"),
        await site.install(fcm_token(), "android"): missing("order"),
        await site.install(null, custom={"order": {"id": None}}): missing("id"),
    }

    async with working(site):
        push = await site.done(await site.push(content={"template": "order"}))

    assert await site.ledger(push) == ledger
    assert await site.outcomes(push) == {"sent": 3, "failed": 3}
    assert alert_of(site, both) == 'Ours: Zoë "Z", 7 is here'
    assert alert_of(site, order) == "Ours: friend, A-1 is here"
    assert b"friend, 8 is here" in site.sent_to(android)[0].payload
    assert len(site.sent()) == 3


async def test_what_was_accepted_keeps_its_template_as_it_was(site: Site) -> None:
    """An edit, or the end of the template, changes the pushes that come later and no others."""
    token = apns_token()
    await site.install(token, custom={"name": "Ada"})
    await store(site, "hello", data={"alert": "Hello {{ name }}"})
    before = await site.push(content={"template": "hello"})
    await store(site, "hello", data={"alert": "Bye {{ name }}"}, variables={"name": "all"})
    after = await site.push(content={"template": "hello"})

    async with working(site):
        for push in (before, after):
            assert (await site.done(push)).content["template"] == "hello"

    texts = {orjson.loads(entry.payload)["aps"]["alert"] for entry in site.sent_to(token)}
    assert texts == {"Hello Ada", "Bye all"}


async def test_the_sender_s_word_wins_over_the_device_s(site: Site) -> None:
    """A push's variables over the template's, and both over the field; null takes one away."""
    token = apns_token()
    await site.install(token, custom={"a": "device", "b": "device", "c": "device", "d": "device"})
    await store(
        site,
        "words",
        data={"alert": "{{ a }} {{ b }} {{ c }} {{ d }}"},
        variables={"a": "template", "b": "template", "c": "template"},
    )

    async with working(site):
        content = {"template": "words", "variables": {"a": "push", "c": None}}
        await site.done(await site.push(content=content))

    assert alert_of(site, token) == "push template device device"


async def test_a_text_may_say_the_badge_that_is_sent(site: Site) -> None:
    """The one after the push's own change; and any other field, by its name in REST."""
    token = apns_token()
    number = await site.install(token, custom={"long": "a" * 20_000, "nul": "\\u0000"})
    content = {"data": {"alert": "{{ badge }} {{ objectId | length }} {{ deviceType }}"}}
    counted = {"data": {**content["data"], "badge": {"__op": "Increment", "amount": 3}}}

    async with working(site):
        for body in (counted, counted):
            await site.done(await site.push(content=body))
        too_long = await site.done(await site.push(content={"data": {"alert": "{{ long }}"}}))

    first, second = (orjson.loads(entry.payload)["aps"] for entry in site.sent_to(token))
    assert first == {"alert": "3 10 ios", "badge": 3}
    assert second == {"alert": "6 10 ios", "badge": 6}
    assert await site.ledger(too_long) == {number: missing("long")}
