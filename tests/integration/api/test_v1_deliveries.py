"""`/v1/deliveries` and `/v1/groups`: devices that come with the request, and their outcomes."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pushsvc.api.v1.delivery_views import DeliveryView, GroupView
from pushsvc.config import Settings
from tests.integration.api.conftest import Answer, Api, running
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    apns_token,
    fcm_token,
    site,
    until,
    wns_channel,
    working,
)

pytestmark = pytest.mark.integration

PATH = "/v1/deliveries"
#: Far more than any of them takes.
WAIT = 20
#: Of APNs' simulator: 410 now, 410 of ten years ago, 500 the first time.
DEAD, DEAD_LONG_AGO, TRIED_TWICE = "fa170100", "fa170300", "fa170e01"


@pytest.fixture
async def place(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """The app with simulators for its gateways; small batches, quick retries; no worker yet."""
    async with site(settings.model_copy(update={"batch_size": 4}), app_row.app, tmp_path) as found:
        yield found


def ios(place: Site, token: str | None = None, **fields: Any) -> dict[str, Any]:
    topic = place.simulators.endpoints.credentials.apns.topics[0]
    return {
        "device_type": "ios",
        "token": token or apns_token(),
        "app_identifier": topic,
    } | fields


async def deliver(api: Api, recipients: list[dict[str, Any]], **fields: Any) -> Answer:
    """Ask for a delivery; 200 and 202 are shown as the document says."""
    headers = fields.pop("headers", {})
    content = {"data": {"alert": "Hello"} | fields.pop("data", {})}
    body = {"content": content, "recipients": recipients, "wait_seconds": WAIT} | fields
    answer = await api.v1("POST", PATH, json=body, headers=headers)
    if answer.status in {200, 202}:
        DeliveryView.model_validate(answer.body)
        assert answer.headers["Location"] == f"{PATH}/{answer.body['id']}"
    return answer


def said(answer: Answer) -> list[tuple[str | None, str | None, str | None]]:
    return [(one["id"], one["outcome"], one["class"]) for one in answer.body["results"]]


async def test_each_recipient_has_its_result_in_the_order_of_the_request(
    api: Api, place: Site
) -> None:
    """Over several batches and all gateways; doubles, retries and the undeliverable included."""
    twice = apns_token()
    browser = '{"endpoint": "https://push.example/1", "keys": {}}'
    recipients = [
        ios(place, id="a", badge=3),
        ios(place, apns_token(DEAD), id="b"),
        ios(place, twice, id="c"),
        {"id": "d", "device_type": "android", "token": fcm_token()},
        {"id": "e", "device_type": "winrt", "channel_uris": {"_Default": wns_channel()}},
        ios(place, twice, id="f"),
        {"id": "g", "device_type": "web", "token": browser},
        {"id": "h", "device_type": "embedded", "token": "x"},
    ]
    async with working(place):
        answer = await deliver(api, recipients, data={"badge": "Increment"})

    assert answer.status == 200, answer.body
    results = answer.body["results"]
    assert [one["id"] for one in results] == [*"abcdefgh"]
    assert [one["outcome"] for one in results][2:6] == ["sent", "sent", "sent", "deduplicated"]
    assert results[0] == {"id": "a", "outcome": "sent", "class": "ok", "reason": None}
    assert [results[at]["reason"] for at in (6, 7)] == ["WebPushSubscription", "UnknownDeviceType"]
    assert (answer.body["pending"], answer.body["state"]) == (0, "done")
    (message,) = place.sent_to(recipients[0]["token"])
    assert orjson.loads(message.payload)["aps"]["badge"] == 3
    assert len(place.sent_to(twice)) == 1

    again = await api.v1("GET", f"{PATH}/{answer.body['id']}")
    assert (again.status, again.body) == (200, answer.body)
    shown = (await api.v1("GET", f"/v1/pushes/{answer.body['id']}")).body
    assert (shown["audience"], shown["counts"]["sent"]) == ({"device_count": 8}, 4)
    explained = await api.v1(
        "GET", f"/v1/pushes/{answer.body['id']}/devices/{recipients[0]['token']}"
    )
    assert explained.body["outcome"] == "sent"
    status = await api.master("GET", f"/classes/_PushStatus/{answer.body['id']}")
    assert (status.body["query"], status.body["numSent"]) == ('{"devices":8}', 4)


async def test_what_is_tried_again_is_pending_and_then_has_its_outcome(
    api: Api, place: Site
) -> None:
    """202 at the deadline; by its id, and by its group, the rest is learnt later."""
    recipients = [ios(place, id="now"), ios(place, apns_token(TRIED_TWICE), id="later")]
    async with working(place):
        answer = await deliver(api, recipients, group="k3Jx", wait_seconds=0.5)
        assert answer.status == 202, answer.body
        assert answer.body["group"] == "k3Jx"
        assert said(answer)[1] == ("later", None, None)

        later = await api.v1("GET", f"{PATH}/{answer.body['id']}", params={"wait_seconds": WAIT})
        assert later.status == 200, later.body
        assert said(later) == [("now", "sent", "ok"), ("later", "sent", "ok")]
        await deliver(api, [ios(place, apns_token(DEAD))], group="k3Jx")

    found = await api.v1("GET", "/v1/groups/k3Jx")
    GroupView.model_validate(found.body)
    assert (found.body["deliveries"], found.body["open"]) == (2, 0)
    assert (found.body["devices"], found.body["pending"]) == (3, 0)
    counts = found.body["by_device_type"]["ios"]
    assert (counts["sent"], counts["failed"]) == (2, 1)
    assert (await api.v1("GET", "/v1/groups/nobody")).status == 404


async def test_a_repeat_sends_nothing_and_waits_for_the_same_end(api: Api, place: Site) -> None:
    """Also while the first is on its way, and whatever it waits for; another body is refused."""
    recipients = [ios(place, id="one")]
    key = {"headers": {"Idempotency-Key": "page 1"}}

    first = await deliver(api, recipients, wait_seconds=0, **key)
    async with working(place):
        repeats = await asyncio.gather(*(deliver(api, recipients, **key) for _ in range(3)))
    other = await deliver(api, [ios(place)], **key)

    assert first.status == 202, first.body
    assert {(r.status, r.body["id"]) for r in repeats} == {(200, first.body["id"])}
    assert all(r.headers["Idempotent-Replayed"] == "true" for r in repeats)
    assert len(place.sent_to(recipients[0]["token"])) == 1
    assert (other.status, other.body["code"]) == (422, "idempotency_mismatch")


async def test_a_token_is_dead_only_by_evidence_younger_than_its_registration(
    api: Api, place: Site
) -> None:
    """Apple's 410 has a time; what it says of a token that was registered since is a suspicion."""
    recipients = [
        ios(place, apns_token(DEAD_LONG_AGO), id="again", registered_at="2025-01-01T00:00:00Z"),
        ios(place, apns_token(DEAD_LONG_AGO), id="gone"),
        ios(place, apns_token(DEAD), id="dead", registered_at="2025-01-01T00:00:00.000Z"),
    ]
    async with working(place):
        answer = await deliver(api, recipients)

    assert [kind for _, _, kind in said(answer)] == ["token_suspect", "token_dead", "token_dead"]
    assert answer.body["tokens_held"] == []


async def test_a_gateway_that_calls_too_many_tokens_dead_is_not_believed(
    api: Api, place: Site
) -> None:
    """The rule is that of pushes: at least 50, and more than the setting's share."""
    async with working(place):
        few = await deliver(api, [ios(place, apns_token(DEAD)) for _ in range(49)])
        many = await deliver(api, [ios(place, apns_token(DEAD)) for _ in range(50)])

    assert (few.body["tokens_held"], many.body["tokens_held"]) == ([], ["apns"])


async def test_a_compressed_body_is_read_and_a_large_reply_compressed(
    api: Api, place: Site
) -> None:
    """gzip both ways; the limit is of what it comes to; what is cut off or unknown is refused."""
    recipients = [ios(place, id=f"device {n}") for n in range(400)]
    body = orjson.dumps({"content": {"data": {"alert": "x"}}, "recipients": recipients})
    packed = {"Content-Encoding": "gzip"}

    answer = await api.v1("POST", PATH, data=gzip.compress(body), headers=packed)
    cut = await api.v1("POST", PATH, data=gzip.compress(body)[:-20], headers=packed)
    bomb = await api.v1("POST", PATH, data=gzip.compress(b"[" * 10_000_000), headers=packed)
    other = await api.v1("POST", PATH, data=body, headers={"Content-Encoding": "br"})
    more = await api.v1("POST", PATH, data=gzip.compress(body) + b"x", headers=packed)

    assert answer.status == 202, answer.body
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.body["results"]) == 400
    assert (bomb.status, bomb.body["code"]) == (413, "body_too_large")
    assert (other.status, other.body["code"]) == (415, "unsupported_encoding")
    for wrong in (cut, more):
        assert (wrong.status, wrong.body["code"]) == (400, "malformed_encoding")


async def test_names_of_no_delivery_and_no_group_are_404_and_a_slash_is_part_of_one(
    api: Api,
) -> None:
    """Whatever is written there; who waits for a push that is no delivery is told so at once."""
    stored = await deliver(api, [{"device_type": "ios", "token": "x"}], group="a/b", wait_seconds=0)
    assert stored.status == 202, stored.body
    push = (await api.v1("POST", "/v1/pushes", json={"channels": ["x"], "data": {"a": 1}})).body

    for path in ("deliveries/a%00b", "deliveries/-", f"deliveries/{push['id']}", "groups/a%00b"):
        for wait in ("", "?wait_seconds=60") if path.startswith("deliveries") else ("",):
            assert (await api.v1("GET", f"/v1/{path}{wait}")).status == 404, path
    assert (await api.v1("GET", "/v1/groups/a%2Fb")).body["devices"] == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"recipients": []}, "/recipients"),
        ({"recipients": [{"device_type": "ios"}]}, "/recipients/0"),
        ({"recipients": [{"device_type": "expo", "token": "x"}]}, "/recipients/0/device_type"),
        ({"recipients": [{"device_type": "ios", "token": ""}]}, "/recipients/0/token"),
        ({"recipients": [{"device_type": "ios", "tokn": "x"}]}, "/recipients/0/tokn"),
        (
            {"recipients": [{"device_type": "ios", "token": "x", "app_identifier": "a\n"}]},
            "/recipients/0/app_identifier",
        ),
        ({"recipients": [{"device_type": "ios", "token": "x"}] * 5_001}, "/recipients"),
        ({"content": {"data": {}, "badge": 1}}, "/content/badge"),
        ({"content": {"data": {"badge": "many"}}}, "/content/data/badge"),
        ({"content": {"data": {"alert": "x"}, "priority": 11}}, "/content/priority"),
        ({"wait_seconds": 61}, "/wait_seconds"),
        ({"group": ""}, "/group"),
        ({"channels": ["news"]}, "/channels"),
        ({"expiration_time": "soon"}, "/expiration_time"),
    ],
)
async def test_what_cannot_be_taken_names_the_field(
    api: Api, change: dict[str, Any], pointer: str
) -> None:
    """Nothing is stored, and nothing is 5xx."""
    body = {
        "content": {"data": {"alert": "x"}},
        "recipients": [{"device_type": "ios", "token": "x"}],
    }
    answer = await api.v1("POST", PATH, json=body | change)

    assert answer.status == 400, answer.body
    assert pointer in answer.pointers, answer.body


async def test_who_waits_is_let_go_when_the_api_stops(settings: Settings, api: Api) -> None:
    """The answer is 202 at once, not a cut connection after the drain."""
    recipients = [{"device_type": "ios", "token": "x"}]
    body = {"content": {"data": {"alert": "x"}}, "recipients": recipients, "wait_seconds": 60}
    headers = {"Authorization": f"Bearer {api.row.api_key}"}

    async def post(url: str) -> int:
        async with api.session.post(f"{url}{PATH}", json=body, headers=headers) as response:
            return response.status

    async def is_stored() -> bool:
        return bool((await api.v1("GET", "/v1/pushes")).body["pushes"])

    with running(settings) as url:
        waiting = asyncio.create_task(post(url))
        await until(is_stored)
    assert await waiting == 202
