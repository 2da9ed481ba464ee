"""Each form of a push in each choice of its texts: the request, for a device of the audience."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.delivery.credentials import choose
from pushsvc.delivery.validation import refused_unasked
from pushsvc.model import (
    Batch,
    Credential,
    Device,
    GatewayName,
    Recipient,
    Refused,
    Shape,
)
from pushsvc.preview.reach import Member, Reach, Seen
from pushsvc.preview.request import PROJECT, GatewayRequest, request_of
from pushsvc.shaping import limits
from pushsvc.shaping.body import Shaper
from pushsvc.shaping.content import Choice
from pushsvc.shaping.forms import GATEWAYS, Form
from pushsvc.storage.badges import badges_after
from pushsvc.storage.devices import load_devices
from pushsvc.storage.fields import OBJECT_ID

#: Choices of texts that are shown; those that the most devices get come first.
CHOICES_MOST: Final = 100

#: A token that is nobody's, for each form: seen at once, and taken by the gateway's grammar.
_MADE_UP_TOKENS: Final[Mapping[Form, str]] = {
    Form.APNS: "0123456789abcdef" * 4,
    Form.FCM_ANDROID: "example:android-registration-token",
    Form.FCM_APPLE: "example:ios-registration-token",
    Form.FCM_WEB: "example:web-registration-token",
    Form.WNS: "https://db5.notify.windows.com/?token=example",
}
#: The device type that stands for each form.
PLATFORMS: Final[Mapping[Form, str]] = {
    Form.APNS: "ios",
    Form.FCM_ANDROID: "android",
    Form.FCM_APPLE: "ios",
    Form.FCM_WEB: "web",
    Form.WNS: "winrt",
}
_LIMITS: Final[Mapping[GatewayName, int]] = {
    GatewayName.APNS: limits.APNS_PAYLOAD_BYTES,
    GatewayName.FCM: limits.FCM_PAYLOAD_BYTES,
    GatewayName.WNS: limits.WNS_PAYLOAD_BYTES,
}
#: Shown only where the audience has such devices: Apple devices are seldom reached through FCM.
_SELDOM: Final = frozenset({Form.FCM_APPLE})
_MADE_UP_APP: Final = "com.example.app"
_MADE_UP_BADGE: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One form in one choice of texts."""

    form: Form
    platform: str
    #: the most particular tag among the chosen texts; None where no text is of a locale
    locale: str | None
    #: how many of the audience get it
    devices: int
    #: objectId of the installation it is shown for; None for an explicit or a made-up device
    example: str | None
    made_up: bool
    request: GatewayRequest | None
    #: why there is no request
    refused: str | None
    #: as its gateway counts it, of one that is too large, too; None where there is nothing to count
    size_bytes: int | None
    #: of its gateway, for such messages
    limit_bytes: int

    @property
    def fits(self) -> bool | None:
        """Whether it is small enough; None where it is refused for another reason."""
        if self.request is not None:
            return True
        return False if self.refused == limits.TOO_LARGE.reason else None

    @property
    def gateway(self) -> GatewayName:
        """The gateway it leaves by."""
        return GATEWAYS[self.form]


@dataclass(frozen=True, slots=True)
class _Place:
    """A variant before it is shaped."""

    form: Form
    choice: Choice
    seen: Seen

    @property
    def locale(self) -> str | None:
        """The most particular of its tags: a device of this locale gets these texts."""
        return max((tag for tag in self.choice if tag), key=len, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Example:
    """The device that a variant is shown for."""

    device: Device
    #: of the installation; 0 where it is none
    key: int = 0
    made_up: bool = False


class Showroom:
    """Shapes the variants of one push; what it reads of the database are the examples."""

    def __init__(
        self, engine: AsyncEngine, shaper: Shaper, credentials: Sequence[Credential]
    ) -> None:
        self._engine = engine
        self._shaper = shaper
        self._credentials = credentials

    async def show(self, reach: Reach) -> tuple[list[Variant], int]:
        """Return the variants, and how many are left out because there are too many to show."""
        choices = self._shaper.content.choices()
        shown = _shown(choices, reach)
        places = list(_places(shown, reach))
        examples = await self._examples(places)
        made: list[Variant] = []
        for place in places:
            example = examples.get(place.seen.member) or self._made_up(place)
            made.append(self._variant(place, example))
            # Others wait for this process, too, and a large text takes its time.
            await asyncio.sleep(0)
        return made, (len(choices) - len(shown)) * (len(places) // len(shown))

    def _variant(self, place: _Place, example: _Example) -> Variant:
        shape = self._shaper.shape(example.device)
        refused = _refusal(example.device, shape)
        request = None
        if refused is None and not isinstance(shape, Refused):
            request = self._addressed(request_of(example.device, shape, key=example.key), shape)
        size_bytes = request.size_bytes if request else None
        if shape is limits.TOO_LARGE:
            size_bytes = self._weighed(example)
        return Variant(
            form=place.form,
            platform=PLATFORMS[place.form],
            locale=place.locale,
            devices=place.seen.devices,
            example=(example.device.fields or {}).get(OBJECT_ID),
            made_up=example.made_up,
            request=request,
            refused=refused,
            size_bytes=size_bytes,
            limit_bytes=request.limit_bytes if request else self._limit_of(place.form),
        )

    def _weighed(self, example: _Example) -> int | None:
        """Return the size of a message that is too large, none of it shortened."""
        shape = self._weigher.shape_one(example.device)
        return None if isinstance(shape, Refused) else request_of(example.device, shape).size_bytes

    @cached_property
    def _weigher(self) -> Shaper:
        return self._shaper.weighing()

    def _limit_of(self, form: Form) -> int:
        if form is Form.APNS and self._shaper.content.option("push_type") == "voip":
            return limits.APNS_VOIP_PAYLOAD_BYTES
        return _LIMITS[GATEWAYS[form]]

    def _addressed(self, request: GatewayRequest, shape: Shape) -> GatewayRequest:
        """Return the request with the project of the service account in its path."""
        credential = choose(self._credentials, shape)
        project = credential.public.get("project_id") if credential else None
        return replace(request, path=request.path.replace(PROJECT, project or PROJECT))

    def _made_up(self, place: _Place) -> _Example:
        topics = (topic for one in self._credentials for topic in one.public.get("topics") or ())
        token = _MADE_UP_TOKENS[place.form]
        device = Device(
            0,
            PLATFORMS[place.form],
            token,
            next(topics, _MADE_UP_APP),
            place.locale,
            _MADE_UP_BADGE,
            fields={"deviceType": PLATFORMS[place.form], "deviceToken": token},
        )
        return _Example(device=device, made_up=True)

    async def _examples(self, places: Sequence[_Place]) -> dict[Member | None, _Example]:
        """Return the devices of the audience that variants are shown for."""
        members = {place.seen.member for place in places}
        ids = tuple(one for one in members if isinstance(one, int))
        named = tuple(one for one in members if isinstance(one, Recipient))
        change = self._shaper.content.badge
        badges = await badges_after(self._engine, ids, change) if change and ids else {}
        found: dict[Member | None, _Example] = {}
        fields = {*self._shaper.fields, OBJECT_ID}
        if ids:
            batch = _batch(installation_ids=ids, badges=badges)
            for device in await load_devices(self._engine, batch, fields=fields):
                if device.token:
                    key = ids[device.place]
                    found[key] = _Example(device=device, key=key)
        if named:
            for device in await load_devices(self._engine, _batch(recipients=named)):
                found[named[device.place]] = _Example(device=device)
        return found


def _batch(
    *,
    installation_ids: tuple[int, ...] = (),
    recipients: tuple[Recipient, ...] = (),
    badges: Mapping[int, int] | None = None,
) -> Batch:
    """Return devices as they are loaded for a message."""
    return Batch(
        push_id=0,
        seq=0,
        installation_ids=installation_ids,
        recipients=recipients,
        attempt=1,
        leases=1,
        leased_at=datetime.fromtimestamp(0, UTC),
        seconds_left=None,
        outcomes=b"",
        badges=badges or {},
    )


def _refusal(device: Device, shape: Shape | Refused) -> str | None:
    """Return why the device gets nothing, in the ledger's words."""
    if isinstance(shape, Refused):
        return shape.reason
    refusal = refused_unasked(device.token, shape)
    return None if refusal is None else refusal.reason


def _shown(choices: Sequence[Choice], reach: Reach) -> list[Choice]:
    """Return the choices to show, in their order."""
    if len(choices) <= CHOICES_MOST:
        return list(choices)
    devices: Counter[Choice] = Counter()
    for (_, choice), seen in reach.seen.items():
        devices[choice] += seen.devices
    # The first is the one without a locale.
    most = sorted(choices[1:], key=lambda choice: -devices[choice])[: CHOICES_MOST - 1]
    wanted = {choices[0], *most}
    return [choice for choice in choices if choice in wanted]


def _places(choices: Sequence[Choice], reach: Reach) -> Iterator[_Place]:
    there = {form for form, _ in reach.seen}
    for form in PLATFORMS:
        if form not in _SELDOM or form in there:
            for choice in choices:
                yield _Place(form, choice, reach.seen.get((form, choice)) or Seen())
