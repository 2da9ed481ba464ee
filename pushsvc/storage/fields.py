"""What an installation may hold, under Parse's names: its special fields' own rules. Pure.

Texts and codes are Parse's, beside those of all objects: 112 and 134 channels, 114 a token, 132 an
installation id, 133 a type.
"""

import re
import zoneinfo
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, Final

from pushsvc.errors import InvalidInstallationError
from pushsvc.model import Json
from pushsvc.storage import object_fields
from pushsvc.storage.encoded import is_number, mismatch, refuse, shown, type_name
from pushsvc.storage.field_types import NO_TYPES, ClassFields
from pushsvc.storage.object_fields import (
    ACL,
    CREATED_AT,
    OBJECT_ID,
    UPDATED_AT,
    Check,
    ClassRules,
    Fields,
    check_acl,
    results,
)
from pushsvc.storage.operations import UNSET, Operation

__all__ = ["CREATED_AT", "OBJECT_ID", "UNSET", "UPDATED_AT", "Fields", "Operation", "results"]

CLASS_NAME: Final = "_Installation"

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
#: Values longer than this, in JSON, are none to the texts of a push: no payload has room for one,
#: and a batch has a thousand of each.
VALUE_CHARACTERS: Final = 16_384

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
#: Apple fixes no length; live activities have 80 bytes and more.
APNS_TOKEN_DIGITS: Final = range(2, 201)
#: `badges.badge` is a Postgres integer.
BADGE_RANGE: Final = range(-(2**31), 2**31)

#: Parse's error 112: empty for everyone, or letters, digits, underscores; newer docs add dashes.
_CHANNEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|")


def parse_installation_fields(
    body: Json, *, creating: bool = False, rules: ClassRules | None = None
) -> Fields:
    """Return the fields of an installation as they were sent, checked and normalised.

    Installation ids, and tokens of 64 characters, are lower-cased.

    Raises:
        InvalidObjectError: with Parse's code and text.
    """
    return object_fields.parse_fields(rules or RULES, body, creating=creating)


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


def changed(
    fields: Fields,
    stored: Json,
    types: ClassFields = NO_TYPES,
    *,
    rules: ClassRules | None = None,
) -> dict[str, Any]:
    """Return the new value of every field that was sent; `UNSET` for those to remove.

    Raises:
        InvalidObjectError: as `object_fields.changed` does.
    """
    creating = not stored
    return object_fields.changed(rules or RULES, fields, stored, types=types, creating=creating)


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
        f"Invalid channel name: {shown(name)}. It must be empty, or begin with a "
        "letter and hold letters, digits, underscores and dashes."
    )


# ---------------------------------------------------------------- one field


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        mismatch(name, "String", type_name(value), class_name=CLASS_NAME)
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
            f"timeZone must be a name of the IANA database, not {shown(zone)}.",
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
    if not isinstance(value, Mapping):
        mismatch(name, "Object", type_name(value), class_name=CLASS_NAME)
    if not all(isinstance(uri, str) for uri in value.values()):
        refuse(111, name, "channelUris must be an object of channel URIs, each a text.")
    return dict(value)


def _badge(_name: str, value: Any) -> int:
    if not is_number(value) or value != int(value) or int(value) not in BADGE_RANGE:
        refuse(111, BADGE, "badge must be a whole number of 32 bits.")
    return int(value)


#: Parse's names of the types; the others are strings.
_OTHER_TYPES: Final[Mapping[str, str]] = {
    "channels": "Array",
    "channelUris": "Object",
    BADGE: "Number",
    ACL: ACL,
}
_CHECKS: Final[Mapping[str, Check]] = {
    **dict.fromkeys(STRING_COLUMNS, _string),
    "installationId": _installation_id,
    "deviceToken": _device_token,
    "deviceType": _device_type,
    "timeZone": _time_zone,
    "channels": _channels,
    "channelUris": _channel_uris,
    BADGE: _badge,
    ACL: partial(check_acl, CLASS_NAME),
}
RULES: Final = ClassRules(
    name=CLASS_NAME,
    types={**dict.fromkeys(STRING_COLUMNS, "String"), **_OTHER_TYPES},
    checks=_CHECKS,
)
