"""Where a message goes, and the forms that the gateways take it in."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pushsvc.model.rules import Json

#: Parse's device types that WNS reaches.
WINDOWS_DEVICE_TYPES: Final = frozenset({"dotnet", "winphone", "winrt"})


class Device(NamedTuple):
    """Where one message goes and what its shape depends on.

    A tuple, because one is made for every device of a push.
    """

    #: its place in the batch
    place: int
    device_type: str
    #: APNs or FCM token, or WNS channel URI
    token: str
    app_identifier: str | None
    locale: str | None
    badge: int | None
    #: Parse's `pushType`, which wins over the device type where it names a way to send
    push_type: str | None = None
    #: values of the installation's fields that the push's texts ask for
    fields: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApnsHead:
    """What all notifications of one push to one app have in common."""

    #: `apns-id` is derived from the push and the device, so that it need not be stored
    push_id: int
    #: the bundle id with the suffix of the push type; chooses the credential, too
    topic: str
    #: the apns- headers in wire form, the topic too; but neither apns-id nor authorization
    headers: tuple[tuple[bytes, bytes], ...]


# Tuples, because a push whose texts hold variables has one for each device.


class ApnsShape(NamedTuple):
    """A notification as APNs takes it; the path is the token's."""

    head: ApnsHead
    body: bytes


class FcmShape(NamedTuple):
    """A message as FCM v1 takes it: the body is `head`, the token as a JSON string, `tail`."""

    head: bytes
    tail: bytes


class WnsShape(NamedTuple):
    """A notification as WNS takes it; the URL is the device's channel URI."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A variant that cannot be shaped, a payload over the limit say; its devices fail so."""

    reason: str


Shape = ApnsShape | FcmShape | WnsShape
