"""What `/v1` takes: the schemas, and their faults as JSON pointers."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
)

from pushsvc.api.audience import check_channels
from pushsvc.bodies import KEYS_SHOWN, MOST_PER_MINUTE, BesideData, Strict, read
from pushsvc.errors import Fault, InvalidRequestError
from pushsvc.shaping.content import FILLED_IN
from pushsvc.storage.fields import BADGE_RANGE, DEVICE_TYPES, HEX_TOKEN_LENGTH

AUDIENCES: Final = ("channels", "where", "devices")
#: APNs and FCM tokens and WNS channel URIs are far shorter.
TOKEN_CHARACTERS: Final = 4_096
ID_CHARACTERS: Final = 255
#: More than there are devices.
MOST_RECIPIENTS: Final = 10**12

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

Text = Annotated[str, Field(min_length=1, max_length=ID_CHARACTERS)]
#: Checked by the pipeline, whose texts name the unit.
Time = Annotated[Any, Field(json_schema_extra={"type": ["string", "number", "null"]})]
#: Beside one of these a push may leave out `data`.
INSTEAD_OF_DATA: Final = ("template", *sorted(FILLED_IN))


def _known_type(value: str) -> str:
    if value not in DEVICE_TYPES:
        message = f"must be one of {', '.join(sorted(DEVICE_TYPES))}"
        raise ValueError(message)
    return value


def _lowered(value: Any) -> Any:
    """Installation ids are stored in lower case."""
    return value.lower() if isinstance(value, str) else value


def _lowered_token(value: Any) -> Any:
    """As `deviceToken` is: what looks like an APNs token is in lower case."""
    return _lowered(value) if isinstance(value, str) and len(value) == HEX_TOKEN_LENGTH else value


def _without_controls(value: str) -> str:
    """It becomes a header of the message."""
    if _CONTROL.search(value):
        message = "has a control character: give the app's bundle id, such as com.example.app"
        raise ValueError(message)
    return value


AppIdentifier = Annotated[Text, AfterValidator(_without_controls)]
#: A token or a channel URI, as it is.
Address = Annotated[str, Field(min_length=1, max_length=TOKEN_CHARACTERS)]
Token = Annotated[Address, BeforeValidator(_lowered_token)]
DeviceType = Annotated[
    str, AfterValidator(_known_type), Field(json_schema_extra={"enum": sorted(DEVICE_TYPES)})
]
Badge = Annotated[int, Field(ge=BADGE_RANGE.start, lt=BADGE_RANGE.stop)]


class ByObjectId(Strict):
    """An installation, by its object id."""

    object_id: Text


class ByInstallationId(Strict):
    """An installation, by the id the device gave itself."""

    installation_id: Annotated[Text, BeforeValidator(_lowered)]


class ByToken(Strict):
    """A device that need not be an installation."""

    token: Token
    device_type: DeviceType
    app_identifier: AppIdentifier | None = None
    locale: Text | None = None
    badge: Badge | None = None


def _kind(device: Any) -> str:
    """Tell which of the three it is: of what came in, and of what was read when it is dumped."""
    names = device if isinstance(device, Mapping) else getattr(type(device), "model_fields", ())
    for name in ("object_id", "installation_id"):
        if name in names:
            return f"by {name}"
    return "by token"


Device = Annotated[
    Annotated[ByObjectId, Tag("by object_id")]
    | Annotated[ByInstallationId, Tag("by installation_id")]
    | Annotated[ByToken, Tag("by token")],
    Discriminator(_kind),
]


class NewTemplate(BesideData):
    """What pushes that name a template take over from it."""

    data: dict[str, Any] = Field(description="As in a push.")


class NewPush(BesideData):
    """A push: exactly one of `channels`, `where` and `devices`; and `data`, or a `template`."""

    channels: list[str] | None = Field(
        None, description='Installations subscribed to one of these; "" is the broadcast channel.'
    )
    where: dict[str, Any] | None = Field(
        None, description="A Parse query over installations; {} is everyone."
    )
    devices: list[Device] | None = Field(None, description="These devices and no others.")
    template: str | None = Field(
        None, description="Name of a stored template, whose keys hold where the push has none."
    )
    data: dict[str, Any] | None = Field(
        None,
        description="What to send: `alert`, `badge`, `sound`, ...; required without a "
        "`template` or a block for one gateway.",
    )
    push_time: Time = Field(
        None,
        description="When: ISO 8601 or epoch seconds; now if left out. Without a zone it is the "
        "time of each device's own clock.",
    )
    late: Literal["send", "skip"] = Field(
        "send", description="What to do with what is late: zones whose time is past, say."
    )
    expiration_time: Time = Field(
        None, description="Until when it may be sent: ISO 8601 with a zone, or epoch seconds."
    )
    expiration_interval: Time = Field(None, description="The same, in seconds from `push_time`.")
    priority: Literal["urgent", "normal"] | None = Field(
        None, description="The lane; left out, few explicit devices are urgent."
    )
    on_unknown: Literal["resend", "drop"] = Field(
        "resend", description="What to do with a message that was written and never answered."
    )
    rate_per_minute: Annotated[int, Field(ge=1, le=MOST_PER_MINUTE)] | None = Field(
        None, description="Devices it may be sent to in a minute; left out, as many as can be."
    )
    validate_only: bool | None = Field(
        None, description="Only look at it: FCM is asked, nothing is delivered, no badge changes."
    )


class NewPlainPush(NewPush):
    """A push that nothing stands in for the data of."""

    data: dict[str, Any]


class NewTimes(Strict):
    """Other times of a push that waits; what is left out stays."""

    push_time: Time = Field(None, description="When; null is now.")
    expiration_time: Time = Field(
        None, description="Until when it may be sent; null takes the expiry away."
    )
    expiration_interval: Time = Field(None, description="The same, in seconds from `push_time`.")


class Resumption(Strict):
    """What is said to a push that is paused."""

    confirm_recipients: Annotated[int, Field(ge=0, le=MOST_RECIPIENTS)] | None = Field(
        None, description="So many devices are right, where a campaign's run waits for that."
    )


class NoBody(Strict):
    """Nothing."""


#: What of a push, and of a template, is its content.
CONTENT_KEYS: Final = ("template", "data", *BesideData.model_fields, "validate_only")


def moment_of(value: Any) -> Any:
    """Read a time, in UTC where it has no zone, as the SDKs' events have it; else ValueError."""
    if value is None:
        return None
    message = "must be a time in ISO 8601"
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(message) from None


class NewOpen(Strict):
    """That a device opened a push."""

    installation_id: Annotated[Text | None, BeforeValidator(_lowered)] = Field(
        None, description="The id that the device gave itself."
    )
    at: Annotated[datetime | None, BeforeValidator(moment_of)] = Field(
        None, description="When; left out: now."
    )


def content_of(asked: NewPush | NewTemplate) -> dict[str, Any]:
    """Return the content as asked for; null is as good as left out."""
    given = vars(asked)
    found = {name: given[name] for name in CONTENT_KEYS if given.get(name) is not None}
    return found if "template" in found else {"data": {}, **found}


def parse_new_template(body: dict[str, Any]) -> NewTemplate:
    """Return the template that is to be stored.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    return read(NewTemplate, body)


def parse_new_times(body: dict[str, Any]) -> dict[str, Any]:
    """Return the times that are to change, by their names.

    Raises:
        InvalidRequestError: with a pointer to each field at fault; or there is none.
    """
    read(NewTimes, body)
    if not body:
        text = f"There is nothing to change. Send one of {', '.join(NewTimes.model_fields)}."
        raise InvalidRequestError([Fault("", "missing_key", text)])
    return body


def parse_new_open(body: dict[str, Any]) -> NewOpen:
    """Return the open that is told.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    return read(NewOpen, body)


def parse_resumption(body: dict[str, Any]) -> Resumption:
    """Return what a push is resumed with.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
    """
    return read(Resumption, body)


def parse_no_body(body: dict[str, Any]) -> None:
    """Take a body that says nothing.

    Raises:
        InvalidRequestError: it says something.
    """
    read(NoBody, body)


def parse_new_push(body: dict[str, Any], *, devices_limit: int) -> NewPush:
    """Return the push that is asked for.

    Raises:
        InvalidRequestError: with a pointer to each field at fault.
        InvalidPushError: a channel has no such name.
    """
    devices = body.get("devices")
    if isinstance(devices, list) and len(devices) > devices_limit:
        text = f"{len(devices)} devices are too many: a push may name {devices_limit}."
        raise InvalidRequestError([Fault("/devices", "too_many", text)])
    _check_names(body.get("channels"))
    _check_devices(devices)
    may_lack_data = any(body.get(name) is not None for name in INSTEAD_OF_DATA)
    push = read(NewPush if may_lack_data else NewPlainPush, body, within=_DEVICES)
    given = [name for name in AUDIENCES if getattr(push, name) is not None]
    if len(given) != 1:
        names = f"{' and '.join(given)} exclude each other" if given else "there is none"
        text = f"A push has exactly one of channels, where and devices; {names}."
        raise InvalidRequestError(
            [Fault(f"/{name}", "one_audience", text) for name in given]
            or [Fault("", "one_audience", text)]
        )
    if push.channels is not None:
        check_channels(push.channels)
    return push


def _check_names(channels: Any) -> None:
    """Refuse the first that is no string: a body has room for a million."""
    for place, name in enumerate(channels if isinstance(channels, list) else ()):
        if not isinstance(name, str):
            pointer = f"/channels/{place}"
            raise InvalidRequestError(
                [Fault(pointer, "invalid_value", f"{pointer}: must be a string.")]
            )


def _check_devices(devices: Any) -> None:
    """Refuse what is named in no way, or in several, before its other keys are looked at."""
    faults = []
    for place, device in enumerate(devices if isinstance(devices, list) else ()):
        if not isinstance(device, dict):
            continue
        if len(_WAYS & device.keys()) != 1 or len(device) > KEYS_SHOWN:
            faults.append(Fault(f"/devices/{place}", "one_device", _ONE_WAY))
    if faults:
        raise InvalidRequestError(faults)


_WAYS: Final = frozenset({"object_id", "installation_id", "token"})
_ONE_WAY: Final = (
    "A device is named in one way: by object_id, by installation_id, or by token and device_type."
)
_DEVICES: Final[Mapping[str, type[Strict]]] = {
    "by object_id": ByObjectId,
    "by installation_id": ByInstallationId,
    "by token": ByToken,
}
