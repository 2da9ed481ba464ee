"""Every golden request goes through our clients to the strict simulators, which accept it."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from pushsvc.delivery.gateway import Gateway
from pushsvc.model import ACCEPTED, ApnsHead, ApnsShape, FcmShape, GatewayName, Shape, WnsShape
from pushsvc.simulators import Simulators
from pushsvc.simulators.ledger import Entry
from tests.integration.delivery.sending import Clients, send_messages
from tests.unit.shaping.golden.files import Golden, all_goldens

pytestmark = pytest.mark.integration

SENT = [golden for golden in all_goldens() if golden.is_sent]
#: Header fields that a client writes by itself, or that say who sends.
OF_THE_CLIENT = {
    *(":method", ":scheme", ":authority", ":path", ":version", "authorization", "user-agent"),
    *("host", "accept", "accept-encoding", "content-length"),
}


def request(golden: Golden) -> dict[str, Any]:
    return golden.expected


def apns_of(golden: Golden) -> tuple[str, ApnsShape]:
    """The token, and the notification as our client takes it; `apns-id` is the client's."""
    fields = {n: v for n, v in request(golden)["headers"].items() if n != "apns-id"}
    head = ApnsHead(
        push_id=1,
        topic=fields["apns-topic"],
        headers=tuple((name.encode(), value.encode()) for name, value in fields.items()),
    )
    token = request(golden)["path"].removeprefix("/3/device/")
    return token, ApnsShape(head, orjson.dumps(request(golden)["body"]))


def fcm_of(golden: Golden) -> tuple[str, FcmShape]:
    """The token, and the message around it."""
    asked = dict(request(golden)["body"])
    message = dict(asked.pop("message"))
    token = message.pop("token")
    head = orjson.dumps({**asked, "message": {}})[:-2] + b'"token":'
    return token, FcmShape(head, b",%b}" % orjson.dumps(message)[1:])


def wns_of(golden: Golden) -> tuple[str, WnsShape]:
    """The channel that the installation names and the request is for, and the notification."""
    device, body = golden.installation, request(golden)["body"]
    uris = [*device.get("channelUris", {}).values(), device.get("deviceToken", "")]
    uri = next(uri for uri in uris if uri.endswith(request(golden)["path"]))
    content = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return uri, WnsShape(tuple(request(golden)["headers"].items()), content)


OF: Mapping[str, Callable[[Golden], tuple[str, Shape]]] = {
    GatewayName.APNS: apns_of,
    GatewayName.FCM: fcm_of,
    GatewayName.WNS: wns_of,
}


def sent_body(token: str, shape: Shape) -> bytes:
    if isinstance(shape, FcmShape):
        return shape.head + orjson.dumps(token) + shape.tail
    return shape.body


@pytest.mark.parametrize("name", list(OF))
async def test_the_strict_gateways_accept_every_golden_request(
    name: str, clients: Clients, simulators: Simulators
) -> None:
    """Not one is refused or warned of, and what arrives is what the file says."""
    goldens = [golden for golden in SENT if request(golden)["gateway"] == name]
    gateway: Gateway[Any] = getattr(clients, name)()
    ours = [OF[name](golden) for golden in goldens]
    # One by one, so that the ledger has them in our order; 1 is the device's key in the files.
    for golden, (token, shape) in zip(goldens, ours, strict=True):
        answers = await send_messages(gateway, [(0, 1, token, shape)])
        assert (golden.name, answers) == (golden.name, {0: ACCEPTED})
    arrived = simulators.ledger.page(gateway=name, token=None, after=0, limit=10_000)[0]
    assert len(arrived) == len(goldens) > 0
    for golden, (token, shape), entry in zip(goldens, ours, arrived, strict=True):
        body = sent_body(token, shape)
        found = (entry.warnings, fields_of(entry), entry.payload_sha256)
        expected = (fields_in(golden), hashlib.sha256(body).digest())
        assert (golden.name, *found) == (golden.name, (), *expected)


def fields_of(entry: Entry) -> dict[str, str]:
    return {name: value for name, value in entry.fields if name not in OF_THE_CLIENT}


def fields_in(golden: Golden) -> dict[str, str]:
    return {name.lower(): value for name, value in request(golden)["headers"].items()}
