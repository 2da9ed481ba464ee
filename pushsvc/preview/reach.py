"""Who of an audience would get which message, and who none and why. Pure.

Devices come in cohorts of the same kind, so what is judged for one holds for all of them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pushsvc.delivery.credentials import bundle_ids_named, choose
from pushsvc.delivery.validation import refused_unasked
from pushsvc.delivery.wns import channel
from pushsvc.model import Credential, Device, GatewayName, Recipient, Refused, Shape
from pushsvc.shaping.body import Shaper
from pushsvc.shaping.content import Choice
from pushsvc.shaping.drafts import TRAITS
from pushsvc.shaping.forms import GATEWAYS, Form, form_of
from pushsvc.storage import reach as kinds

#: Reasons of ours; a message that cannot be shaped has the shaper's.
NO_TOKEN: Final = "no_token"  # noqa: S105 - a reason
TOKEN_RETIRED: Final = "token_retired"  # noqa: S105 - a reason
DUPLICATE_TOKEN: Final = "duplicate_token"  # noqa: S105 - a reason
NO_INSTALLATION: Final = "no_installation"
NO_CREDENTIAL: Final = "no_credential"
_SHORTER: Final = {"PayloadTooLarge": "too_large"}
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")

#: Locales counted one by one: a client may write anything there.
LOCALES_MOST: Final = 10_000

#: Verdicts kept: an app has a handful of bundle ids, but explicit devices may have any.
_KEPT: Final = 1_024

#: A token or URI of each kind.
_ADDRESSES: Final = {
    kinds.NO_TOKEN: "",
    kinds.HEX: "00",
    kinds.COLON: "x:x",
    kinds.BRACE: "{:}",
    kinds.BARE_BRACE: "{}",
    kinds.CHANNEL: "https://db5.notify.windows.com/",
    kinds.RETIRED_CHANNEL: "http://s.notify.live.net/",
    kinds.URI: "https://example.com/",
    kinds.OTHER: "-",
}

#: An installation's key, or an explicit device.
Member = int | Recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Devices of an audience between which there is no difference but their fields and badges."""

    device: Device
    n: int
    #: one of them
    member: Member
    retired: bool = False
    is_double: bool = False
    #: named, and not there
    is_absent: bool = False
    #: why its zone gets nothing
    left_out: str | None = None


@dataclass(slots=True)
class Seen:
    """Who gets one form in one choice of texts."""

    devices: int = 0
    #: one of them, or else one that would get it if it could be sent to
    member: Member | None = None


@dataclass(slots=True)
class Reach:
    """The sums over all cohorts."""

    devices: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    by_gateway: Counter[GatewayName] = field(default_factory=Counter)
    #: locale -> device type -> devices
    locales: dict[str | None, Counter[str]] = field(default_factory=dict)
    #: devices of locales beyond those that are counted one by one
    of_other_locales: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    seen: dict[tuple[Form, Choice], Seen] = field(default_factory=dict)

    def take(
        self, cohort: Cohort, form: Form | None, choice: Choice, *, reason: str | None
    ) -> None:
        """Add a cohort, which gets nothing where there is a reason."""
        device = cohort.device
        if form is not None:
            seen = self.seen.setdefault((form, choice), Seen())
            if seen.member is None or (reason is None and not seen.devices):
                seen.member = cohort.member
            seen.devices += 0 if reason else cohort.n
        if reason is not None:
            self.excluded[reason] += cohort.n
            return
        assert form is not None
        self.devices += cohort.n
        self.by_type[device.device_type] += cohort.n
        self.by_gateway[GATEWAYS[form]] += cohort.n
        locale = device.locale or None
        if locale in self.locales or len(self.locales) < LOCALES_MOST:
            by_type = self.locales.setdefault(locale, Counter())
            by_type[device.device_type] += cohort.n
        else:
            self.of_other_locales += cohort.n


class Judge:
    """Tells of each cohort what it gets, or why it gets nothing."""

    def __init__(self, shaper: Shaper, credentials: Sequence[Credential]) -> None:
        self._shaper = shaper
        self._credentials = credentials
        #: by all that a message depends on, and by nothing else
        self._outlines: dict[tuple[Form, Choice, str | None, int | None], Shape | str] = {}
        #: bundle ids between which there is a difference
        self.apps = bundle_ids_named(credentials)

    def add(self, cohort: Cohort, reach: Reach) -> None:
        """Add a cohort to the sums."""
        choice = self._shaper.content.choose(cohort.device.locale)
        form, reason = self._judge(cohort, choice)
        reach.take(cohort, form, choice, reason=reason)

    def _judge(self, cohort: Cohort, choice: Choice) -> tuple[Form | None, str | None]:
        """Return the form of the message and why it is not sent; in the order of the delivery."""
        reason = cohort.left_out or _unaddressed(cohort)
        if reason is not None:
            return None, reason
        form = form_of(cohort.device)
        if isinstance(form, Refused):
            return None, worded(form.reason)
        token, shape = cohort.device.token, self._outlined(cohort.device, form, choice)
        if not isinstance(shape, str):
            refusal = refused_unasked(token, shape)
        elif shape != NO_CREDENTIAL or form is not Form.WNS:
            return form, shape
        elif (refusal := channel.refusal(token)) is None:
            return form, NO_CREDENTIAL
        return form, None if refusal is None else worded(refusal.reason)

    def _outlined(self, device: Device, form: Form, choice: Choice) -> Shape | str:
        """Return a message for such devices, or why there is none."""
        trait_of = TRAITS.get(form)
        trait = trait_of(device) if trait_of else None
        key = (form, choice, trait, device.badge)
        found = self._outlines.get(key)
        if found is None:
            if len(self._outlines) >= _KEPT:
                self._outlines.clear()
            found = self._outlines[key] = self._outline(device)
        return found

    def _outline(self, device: Device) -> Shape | str:
        shape = self._shaper.outline(device)
        if isinstance(shape, Refused):
            return worded(shape.reason)
        return NO_CREDENTIAL if choose(self._credentials, shape) is None else shape


def _unaddressed(cohort: Cohort) -> str | None:
    """Return why there is nowhere to send to."""
    if cohort.is_absent:
        return NO_INSTALLATION
    if cohort.is_double:
        return DUPLICATE_TOKEN
    if cohort.retired:
        return TOKEN_RETIRED
    return None if cohort.device.token else NO_TOKEN


def worded(reason: str) -> str:
    """Return a reason of the ledger as a key of ours."""
    return _SHORTER.get(reason) or _CAPITAL.sub("_", reason).lower()


def address_of_kind(kind: str) -> str:
    """Return a token or a URI of this kind."""
    return _ADDRESSES[kind]
