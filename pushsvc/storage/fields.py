"""What an installation may hold, under Parse's names: checked, and applied to what is stored. Pure.

Texts and codes are Parse's: 105 a bad name, 108 an unknown operator, 111 a wrong type, 112 and 134
channels, 114 a token, 116 too large, 121 a bad nested key, 132 an installation id, 133 a type.
"""

import math
import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, Final, Literal

from pushsvc.errors import InvalidInstallationError
from pushsvc.model import Json
from pushsvc.storage.encoded import (
    SHOWN_CHARACTERS,
    canonical,
    check_nested,
    check_storable,
    identity,
    is_number,
    mismatch,
    refuse,
    type_name,
)

#: Parse's string fields -> our columns.
STRING_COLUMNS: Final[Mapping[str, str]] = {
    "installationId": "installation_id",
    "deviceToken": "device_token",
    "deviceType": "device_type",
    "pushType": "push_type",
    "GCMSenderId": "gcm_sender_id",
    "timeZone": "time_zone",
    "localeIdentifier": "locale_identifier",
    "appVersion": "app_version",
    "appName": "app_name",
    "appIdentifier": "app_identifier",
    "parseVersion": "parse_version",
}
#: All fields that have columns in `installations`; the badge has a table, the rest is `custom`.
COLUMNS: Final[Mapping[str, str]] = {
    **STRING_COLUMNS,
    "channels": "channels",
    "channelUris": "channel_uris",
}
BADGE: Final = "badge"
#: Parse keeps these itself; a caller may send them back, as he got them.
OBJECT_ID, CREATED_AT, UPDATED_AT = "objectId", "createdAt", "updatedAt"

#: Parse's push guide, then what its SDKs of today send.
DEVICE_TYPES: Final = frozenset(
    {
        *("ios", "android", "winrt", "winphone", "dotnet"),
        *("macos", "osx", "tvos", "watchos", "fcm", "web", "embedded"),
    }
)

#: Btree and GIN entries end near 2,700 bytes; real tokens, ids and channels are far shorter.
INDEXED_BYTES: Final = 2_000
#: APNs tokens are 32 bytes in hexadecimal; Parse lower-cases what has this length.
HEX_TOKEN_LENGTH: Final = 64
#: `badges.badge` is a Postgres integer.
BADGE_RANGE: Final = range(-(2**31), 2**31)

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED_NAMES: Final = frozenset({"length", "className", "id"})
#: Parse's error 112: empty for everyone, or letters, digits, underscores; newer docs add dashes.
_CHANNEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|")
_OBJECT_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


class Unset(Enum):
    """The mark of a field that is to be removed; a custom field may well hold null."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Operation:
    """A change that depends on the stored value: Parse's `__op`."""

    name: Literal["Increment", "Add", "AddUnique", "Remove"]
    #: the amount, or the objects
    value: Any


#: Parse's name -> its new value, `UNSET`, or an `Operation`; checked.
Fields = Mapping[str, Any]


def parse_installation_fields(body: Json) -> Fields:
    """Return the fields of an installation as they were sent, checked and normalised.

    Installation ids, and tokens of 64 characters, are lower-cased. `objectId`, `createdAt` and
    `updatedAt` pass when they are strings: it is for the caller to refuse, ignore or keep them.

    Raises:
        InvalidInstallationError: with Parse's code and text.
    """
    check_storable(body)
    fields = {name: _parse(name, value) for name, value in body.items()}
    points = [name for name, value in fields.items() if type_name(value) == "GeoPoint"]
    if len(points) > 1:
        refuse(111, points[1], "there can only be one geopoint field in a class")
    return fields


def parse_installation_row(body: Json) -> Fields:
    """Return the fields of an installation that is complete in itself, as an import needs it.

    Raises:
        InvalidInstallationError: as above, and 135 without an id field or a device type.
    """
    fields = {
        name: value
        for name, value in changed(parse_installation_fields(body), {}).items()
        if value is not UNSET
    }
    if not fields.keys() & {"installationId", "deviceToken"}:
        raise InvalidInstallationError(
            "at least one ID field (deviceToken, installationId) must be specified"
        )
    if "deviceType" not in fields:
        raise InvalidInstallationError("deviceType must be specified", field="/deviceType")
    return fields


def changed(fields: Fields, stored: Json) -> dict[str, Any]:
    """Return the new value of every field that was sent; `UNSET` for those to remove.

    Raises:
        InvalidInstallationError: 111 where an operation does not fit the stored value, 116 where
            the result is too large.
    """
    values = {
        name: _apply(name, value, stored.get(name)) if isinstance(value, Operation) else value
        for name, value in fields.items()
    }
    if any(isinstance(value, Operation) for value in fields.values()):
        whole = {**stored, **values}
        check_storable({n: v for n, v in whole.items() if v is not UNSET})
        _check_badge(values.get(BADGE, 0))
    return values


def results(fields: Fields, values: Json) -> dict[str, Any]:
    """Return what operations came to, which is all of an update that Parse echoes."""
    return {name: values[name] for name, value in fields.items() if isinstance(value, Operation)}


def check_channels(channels: Any) -> None:
    """Raise InvalidInstallationError unless these are names of channels in an array."""
    if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
        refuse(134, "channels", "channels must be an array of strings.")
    for name in channels:
        if flaw := channel_flaw(name):
            refuse(112, "channels", flaw)


def channel_flaw(name: str) -> str | None:
    """Return what is wrong with the name of a channel; None where it is right."""
    if _CHANNEL.fullmatch(name) and len(name) <= INDEXED_BYTES:
        return None
    return (
        f"Invalid channel name: {name[:SHOWN_CHARACTERS]}. It must be empty, or begin with a "
        "letter and hold letters, digits, underscores and dashes."
    )


# ---------------------------------------------------------------- one field


def _parse(name: str, value: Any) -> Any:
    if name in {OBJECT_ID, CREATED_AT, UPDATED_AT}:
        return _own_field(name, value)
    if not _NAME.fullmatch(name) or name in _RESERVED_NAMES:
        refuse(105, None, f"Invalid field name: {name[:SHOWN_CHARACTERS]}.")
    if isinstance(value, Mapping) and "__op" in value:
        return _operation(name, value)
    return _plain(name, value)


def _own_field(name: str, value: Any) -> Any:
    if isinstance(value, Mapping) and value.get("__type") == "Date":
        value = value.get("iso")
    if name == OBJECT_ID:
        if not isinstance(value, str) or not _OBJECT_ID.fullmatch(value):
            refuse(105, name, "objectId is an invalid field name.")
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        mismatch(name, "Date", value)
    return moment.replace(tzinfo=moment.tzinfo or UTC).isoformat()


def _plain(name: str, value: Any) -> Any:
    if value is None and (name in COLUMNS or name == BADGE):
        return UNSET
    if name in _CHECKS:
        return _CHECKS[name](name, value)
    if name in STRING_COLUMNS:
        return _string(name, value)
    check_nested(name, value)
    return canonical(value)


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        mismatch(name, "String", value)
    return str(value)


def _installation_id(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode()) <= INDEXED_BYTES:
        refuse(132, name, "installationId must be a string of 1 to 2,000 bytes.")
    return str(value).lower()


def _device_token(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode()) <= INDEXED_BYTES:
        refuse(114, name, "deviceToken must be a string of 1 to 2,000 bytes.")
    token = str(value)
    return token.lower() if len(token) == HEX_TOKEN_LENGTH else token


def _device_type(name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in DEVICE_TYPES:
        refuse(133, name, f"deviceType must be one of {', '.join(sorted(DEVICE_TYPES))}.")
    return str(value)


def _time_zone(name: str, value: Any) -> str:
    zone = _string(name, value)
    if zone not in _zones():
        refuse(
            111,
            name,
            f"timeZone must be a name of the IANA database, not {zone[:SHOWN_CHARACTERS]}.",
        )
    return zone


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _channels(_name: str, value: Any) -> list[str]:
    check_channels(value)
    # Once each, in order: a set has no doubles, and `Remove` takes all of a name.
    return list(dict.fromkeys(value))


def _channel_uris(name: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(uri, str) for uri in value.values()):
        mismatch(name, "Object", value)
    return dict(value)


def _badge(_name: str, value: Any) -> int:
    _check_badge(value)
    return int(value)


def _check_badge(value: Any) -> None:
    if value is UNSET:
        return
    if not is_number(value) or value != int(value) or int(value) not in BADGE_RANGE:
        refuse(111, BADGE, "badge must be a whole number of 32 bits.")


def _acl(name: str, value: Any) -> Any:
    grants = value.values() if isinstance(value, Mapping) else None
    if grants is None or not all(isinstance(grant, Mapping) for grant in grants):
        mismatch(name, "ACL", value)
    return value


_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "installationId": _installation_id,
    "deviceToken": _device_token,
    "deviceType": _device_type,
    "timeZone": _time_zone,
    "channels": _channels,
    "channelUris": _channel_uris,
    BADGE: _badge,
    "ACL": _acl,
}


# ---------------------------------------------------------------- operations


def _operation(name: str, value: Json) -> Any:
    match value["__op"]:
        case "Delete":
            return UNSET
        case "Increment":
            return _increment(name, value.get("amount"))
        case "Add" | "AddUnique" | "Remove" as operator:
            return _change_of_list(name, operator, value.get("objects"))
        case unknown:
            return refuse(
                108, name, f"The {str(unknown)[:SHOWN_CHARACTERS]} operator is not supported yet."
            )


def _increment(name: str, amount: Any) -> Operation:
    if name in COLUMNS or name == "ACL":
        refuse(111, name, _mismatch_text(name, "Number"))
    if not is_number(amount):
        refuse(111, name, "incrementing must provide a number")
    return Operation("Increment", amount)


def _change_of_list(
    name: str, operator: Literal["Add", "AddUnique", "Remove"], objects: Any
) -> Operation:
    if name in STRING_COLUMNS or name in {BADGE, "channelUris", "ACL"}:
        refuse(111, name, _mismatch_text(name, "Array"))
    if not isinstance(objects, list):
        refuse(111, name, f"objects of {operator} must be an array")
    if name == "channels":
        check_channels(objects)
    check_nested(name, objects)
    return Operation(operator, canonical(objects))


def _mismatch_text(name: str, given: str) -> str:
    expected = {"channels": "Array", "channelUris": "Object", BADGE: "Number", "ACL": "ACL"}
    return (
        f"schema mismatch for _Installation.{name}; expected {expected.get(name, 'String')} "
        f"but got {given}"
    )


def _apply(name: str, operation: Operation, stored: Any) -> Any:
    if operation.name == "Increment":
        if stored is not None and not is_number(stored):
            mismatch(name, type_name(stored), operation.value)
        total = (stored or 0) + operation.value
        if not math.isfinite(total):
            refuse(111, name, f"incrementing {name} by that much leaves the range of numbers")
        return total if name != BADGE or total != int(total) else int(total)
    if stored is not None and not isinstance(stored, list):
        mismatch(name, type_name(stored), operation.value)
    # Parse's channels are a set, whatever the operator.
    unique = operation.name == "AddUnique" or name == "channels"
    return _change_list(operation.name, stored or [], operation.value, unique=unique)


def _change_list(
    operator: str, stored: Sequence[Any], objects: Sequence[Any], *, unique: bool
) -> list[Any]:
    if operator == "Remove":
        gone = {identity(value) for value in objects}
        return [value for value in stored if identity(value) not in gone]
    if not unique:
        return [*stored, *objects]
    seen = {identity(value) for value in stored}
    fresh = {identity(value): value for value in objects if identity(value) not in seen}
    return [*stored, *fresh.values()]
