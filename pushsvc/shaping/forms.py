"""Which form a device's message has, and so which gateway it leaves by."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import StrEnum
from operator import itemgetter
from typing import Final

from pushsvc.model import WINDOWS_DEVICE_TYPES, Device, GatewayName, Refused


class Form(StrEnum):
    """The forms that a message can have: FCM has one for each kind of device behind it."""

    APNS = "apns"
    FCM_ANDROID = "fcm_android"
    FCM_APPLE = "fcm_apple"
    FCM_WEB = "fcm_web"
    WNS = "wns"


GATEWAYS: Final[Mapping[Form, GatewayName]] = {
    Form.APNS: GatewayName.APNS,
    Form.FCM_ANDROID: GatewayName.FCM,
    Form.FCM_APPLE: GatewayName.FCM,
    Form.FCM_WEB: GatewayName.FCM,
    Form.WNS: GatewayName.WNS,
}

APPLE: Final = frozenset({"ios", "macos", "osx", "tvos", "watchos"})
#: Parse's device types, those of its SDKs of today included -> form.
_FORMS: Final[Mapping[str, Form]] = {
    **dict.fromkeys(APPLE, Form.APNS),
    **dict.fromkeys(WINDOWS_DEVICE_TYPES, Form.WNS),
    "android": Form.FCM_ANDROID,
    "fcm": Form.FCM_ANDROID,
    "web": Form.FCM_WEB,
}
#: What reaches a device whose push type says FCM, by its own type.
_BY_FCM: Final[Mapping[Form | None, Form]] = {Form.APNS: Form.FCM_APPLE, Form.FCM_WEB: Form.FCM_WEB}

#: FCM's registration tokens have one; it stands in no token of Apple's, which are hexadecimal.
_FCM_MARK: Final = ":"
#: A browser's own subscription is JSON, which holds the mark of FCM, too.
_SUBSCRIPTION: Final = "{"
_FIELDS: Final = Device._fields
#: Of a device, what its gateway and app depend on besides the token, and what its message does.
_PARTY: Final = itemgetter(*map(_FIELDS.index, ("device_type", "push_type", "app_identifier")))
_KIND: Final = itemgetter(
    *map(_FIELDS.index, ("device_type", "push_type", "app_identifier", "locale", "badge"))
)
UNKNOWN_DEVICE_TYPE: Final = Refused(reason="UnknownDeviceType")
#: A browser's own subscription (RFC 8030), which is no token of FCM's.
WEB_PUSH_SUBSCRIPTION: Final = Refused(reason="WebPushSubscription")


def form_of(device: Device) -> Form | Refused:
    """Return the form of what this device is sent; refused where no gateway reaches it.

    The push type wins over the device type where it names a way to send, as in Parse's push
    adapter. Apple devices whose token is FCM's are reached through FCM.
    """
    form = _FORMS.get(device.device_type)
    push_type = device.push_type
    if push_type == "fcm":
        form = _BY_FCM.get(form, Form.FCM_ANDROID)
    elif push_type is not None:
        form = _FORMS.get(push_type, form)
    if form is Form.APNS and _FCM_MARK in device.token:
        return Form.FCM_APPLE
    if form is Form.FCM_WEB and device.token.startswith(_SUBSCRIPTION):
        return WEB_PUSH_SUBSCRIPTION
    return UNKNOWN_DEVICE_TYPE if form is None else form


def gateway_of(device: Device) -> GatewayName | None:
    """Return the gateway that reaches this device; None when there is none."""
    form = form_of(device)
    return None if isinstance(form, Refused) else GATEWAYS[form]


def parties_of(devices: Sequence[Device]) -> Iterable[Hashable]:
    """Return, for each device, what its gateway and app depend on."""
    return _told_apart(devices, by=_PARTY)


def kinds_of(devices: Sequence[Device]) -> Iterable[Hashable]:
    """Return, for each device, all that a message depends on whose texts have no variables."""
    return _told_apart(devices, by=_KIND)


def _told_apart(
    devices: Sequence[Device], *, by: Callable[[Device], Hashable]
) -> Iterable[Hashable]:
    # Most often no token says anything, and then no code runs for each.
    if _FCM_MARK not in "".join([device.token for device in devices]):
        return map(by, devices)
    return [
        (by(device), _FCM_MARK in device.token, device.token.startswith(_SUBSCRIPTION))
        for device in devices
    ]
