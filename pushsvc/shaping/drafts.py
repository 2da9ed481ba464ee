"""The forms of a message, and what makes each."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from pushsvc.model import Device, Refused, Shape
from pushsvc.shaping import apns, fcm, fcm_android, fcm_apple, fcm_web, wns
from pushsvc.shaping.content import Content, Envelope
from pushsvc.shaping.forms import Form
from pushsvc.shaping.splice import Texts


class Draft(Protocol):
    """A message in one choice of texts, before it knows its device."""

    @property
    def needs(self) -> tuple[int, ...]:
        """The numbers of the texts to be filled in."""

    def finish(self, trait: str | None, badge: int | None, texts: Texts) -> Shape | Refused:
        """Return the message for devices with this trait, this badge and these texts."""


Drafter = Callable[[Content, Envelope], Draft | Refused]
DRAFTERS: Final[Mapping[Form, Drafter]] = {
    Form.APNS: apns.draft,
    Form.FCM_ANDROID: fcm.drafter(fcm_android.message),
    Form.FCM_APPLE: fcm.drafter(fcm_apple.message),
    Form.FCM_WEB: fcm.drafter(fcm_web.message),
    Form.WNS: wns.draft,
}
#: The forms that can hold a device's own badge.
BADGED: Final = frozenset({Form.APNS, Form.FCM_APPLE, Form.WNS})
#: Keys beside `data` that are for one form.
BLOCKS: Final[Mapping[Form, frozenset[str]]] = {
    Form.APNS: frozenset(),
    Form.FCM_ANDROID: frozenset({"notification", "android", "rawPayload"}),
    Form.FCM_APPLE: frozenset({"rawPayload"}),
    Form.FCM_WEB: frozenset({"webpush", "rawPayload"}),
    Form.WNS: frozenset({"wns"}),
}
#: What a message depends on besides texts and badge.
TRAITS: Final[Mapping[Form, Callable[[Device], str | None]]] = {
    Form.APNS: lambda device: device.app_identifier,
    Form.WNS: lambda device: device.device_type,
}
