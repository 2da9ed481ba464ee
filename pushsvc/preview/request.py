"""What a gateway would be asked, to the byte, but for who asks; pure.

No credential is looked at: the `authorization` of a request, and the project in FCM's path, are
those of whoever sends.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from pushsvc.delivery.apns.client import apns_id
from pushsvc.model import ApnsShape, Device, FcmShape, GatewayName, Shape, WnsShape
from pushsvc.shaping import limits
from pushsvc.shaping.fcm import counted_bytes

#: Stands in FCM's path for the project of the service account that sends.
PROJECT: Final = "{project_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequest:
    """One request as its gateway gets it."""

    gateway: GatewayName
    method: str
    #: with the query; WNS: of the device's channel
    path: str
    headers: dict[str, str]
    #: JSON where the gateway is sent JSON; else the text that is sent
    body: Any
    #: as the gateway counts it
    size_bytes: int
    limit_bytes: int


def request_of(device: Device, shape: Shape, *, key: int = 0) -> GatewayRequest:
    """Return the request that sends this shape to this device.

    Args:
        device: where it goes.
        shape: what the device is sent.
        key: 64 bits that tell the device from the others of its push, for `apns-id`.
    """
    if isinstance(shape, ApnsShape):
        return _apns(device, shape, key)
    return _fcm(device, shape) if isinstance(shape, FcmShape) else _wns(device, shape)


def _apns(device: Device, shape: ApnsShape, key: int) -> GatewayRequest:
    fields = {name.decode(): value.decode() for name, value in shape.head.headers}
    is_call = fields["apns-push-type"] == "voip"
    return GatewayRequest(
        gateway=GatewayName.APNS,
        method="POST",
        path=f"/3/device/{device.token}",
        headers={"apns-id": apns_id(shape.head.push_id, key).decode(), **fields},
        body=orjson.loads(shape.body),
        size_bytes=len(shape.body),
        limit_bytes=limits.APNS_VOIP_PAYLOAD_BYTES if is_call else limits.APNS_PAYLOAD_BYTES,
    )


def _fcm(device: Device, shape: FcmShape) -> GatewayRequest:
    body = orjson.loads(shape.head + orjson.dumps(device.token) + shape.tail)
    return GatewayRequest(
        gateway=GatewayName.FCM,
        method="POST",
        path=f"/v1/projects/{PROJECT}/messages:send",
        headers={"content-type": "application/json"},
        body=body,
        size_bytes=counted_bytes(body["message"]),
        limit_bytes=limits.FCM_PAYLOAD_BYTES,
    )


def _wns(device: Device, shape: WnsShape) -> GatewayRequest:
    headers = dict(shape.headers)
    is_xml = headers["Content-Type"] == "text/xml"
    target = urlsplit(device.token)
    return GatewayRequest(
        gateway=GatewayName.WNS,
        method="POST",
        path=(target.path or "/") + (f"?{target.query}" if target.query else ""),
        headers=headers,
        body=shape.body.decode() if is_xml else _raw(shape.body),
        size_bytes=len(shape.body),
        limit_bytes=limits.WNS_PAYLOAD_BYTES,
    )


def _raw(body: bytes) -> Any:
    """Return raw data as it can be read: the caller's own need not be JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode()
