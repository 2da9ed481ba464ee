"""The devices of an audience in cohorts: those of one get the same, or nothing for one reason.

An audience of a million devices is a few hundred cohorts. Whatever a client may write into its
installation is cut to what makes a difference.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    any_,
    case,
    false,
    func,
    literal,
    select,
    text,
)

from pushsvc.storage.channel_uri import RETIRED_PATTERN, URI_LIMIT_CHARACTERS, WNS_PATTERN
from pushsvc.storage.fields import APNS_TOKEN_DIGITS, DEVICE_TYPES
from pushsvc.storage.tables import installations as i

#: Characters of a locale that shaping looks at.
LOCALE_CHARACTERS: Final = 35

#: Kinds of addresses: whatever is of one kind is sent to, or is not, for one reason.
NO_TOKEN: Final = ""
HEX: Final = "hex"
#: has a colon, as FCM's registration tokens have
COLON: Final = ":"
#: a browser's own subscription, which is JSON
BRACE: Final = "{:"
BARE_BRACE: Final = "{"
#: URIs: a channel of WNS, one of MPNS, and any other
CHANNEL: Final = "channel"
RETIRED_CHANNEL: Final = "retired"
URI: Final = "uri"
OTHER: Final = "other"

#: Stand for all bundle ids that no credential names, and for all that are none.
SOME_APP: Final = "-"
NO_APP: Final = "!"
APP_CHARACTERS: Final = 255
_BUNDLE_ID: Final = "^[A-Za-z0-9._-]+$"
#: Of a name between two dots of a host.
_LABEL_CHARACTERS: Final = 63
#: Way to send that a push type can name; any other is as none.
_WAYS: Final = sorted(DEVICE_TYPES)


def _uri_kind(uri: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the kind of a URI, by the rules of `channel_uri.flaw`."""
    return case(
        (func.length(uri) > URI_LIMIT_CHARACTERS, URI),
        (_is_usual(uri, "https://", "notify.windows.com", characters="[]!$-;=?-[_a-z~]"), CHANNEL),
        (_is_usual(uri, "http://", "notify.live.net", characters="[!-~]"), RETIRED_CHANNEL),
        (_names(uri, "notify.windows.com", WNS_PATTERN), CHANNEL),
        (_names(uri, "notify.live.net", RETIRED_PATTERN), RETIRED_CHANNEL),
        else_=URI,
    )


def _is_usual(
    uri: ColumnElement[Any], scheme: str, host: str, *, characters: str
) -> ColumnElement[Any]:
    """Return whether a URI is as nearly all of them are.

    The patterns of all that may be cost Postgres 200 microseconds for each URI, this one 5.
    """
    label = "[a-z0-9]+(-[a-z0-9]+)*"
    pattern = rf"^{scheme}{label}\.{host.replace('.', '[.]')}/{characters}*$"
    longest = len(scheme) + _LABEL_CHARACTERS + 1
    place = func.strpos(uri, f".{host}/")
    return case((place.between(1, longest), uri.regexp_match(pattern)), else_=false())


def _names(uri: ColumnElement[Any], host: str, pattern: str) -> ColumnElement[Any]:
    named = func.strpos(func.lower(uri), host) > 0
    return case((named, uri.regexp_match(f"^{pattern}$")), else_=false())


_TOKEN: Final = func.coalesce(i.c.device_token, "")
_IS_HEX: Final = and_(
    func.length(_TOKEN).between(APNS_TOKEN_DIGITS.start, APNS_TOKEN_DIGITS.stop - 1),
    func.length(_TOKEN) % 2 == 0,
    func.translate(_TOKEN, "0123456789abcdefABCDEF", "") == "",
)
# In an order in which most rows are told by one look, and no pattern is held against most.
_KIND: Final = case(
    (_TOKEN == "", NO_TOKEN),
    (
        func.strpos(_TOKEN, ":") > 0,
        case(
            (func.left(_TOKEN, 1) == "{", BRACE),
            (func.lower(func.left(_TOKEN, 4)) == "http", _uri_kind(_TOKEN)),
            else_=COLON,
        ),
    ),
    (_IS_HEX, HEX),
    (func.left(_TOKEN, 1) == "{", BARE_BRACE),
    else_=OTHER,
)
_ONE: Final = func.jsonb_each_text(i.c.channel_uris).table_valued("key", "value")
#: The kind of the channel that a Windows device with these is reached by: one that WNS takes goes
#: before others, and a retired one before those that tell nothing.
_CHANNELS: Final[ColumnElement[Any]] = case(
    (
        i.c.channel_uris.is_not(None),
        select(func.min(_uri_kind(_ONE.c.value))).select_from(_ONE).correlate(i).scalar_subquery(),
    )
)
_APP: Final = func.coalesce(i.c.app_identifier, "")


def columns(apps: Collection[str]) -> Sequence[ColumnElement[Any]]:
    """Return what tells the devices of one cohort from those of others; `apps` are kept apart."""
    return (
        i.c.id,
        i.c.device_type,
        case((i.c.push_type.in_(_WAYS), i.c.push_type)).label("push_type"),
        func.left(i.c.locale_identifier, LOCALE_CHARACTERS).label("locale"),
        case(
            (_APP == "", None),
            (_APP.in_(sorted(apps)), _APP),
            (func.length(_APP) > APP_CHARACTERS, NO_APP),
            (_APP.regexp_match(_BUNDLE_ID), SOME_APP),
            else_=NO_APP,
        ).label("app_identifier"),
        _KIND.label("kind"),
        _CHANNELS.label("channel_kind"),
        i.c.token_retired_at.is_not(None).label("retired"),
    )


def by_zone(
    table: FromClause, reasons: Mapping[str, str | None], *, other: str | None
) -> ColumnElement[Any]:
    """Return the reason of a row's zone; that of one without a zone among these is `other`."""
    zones: dict[str, list[str]] = {}
    for zone, reason in sorted(reasons.items()):
        if reason != other:
            zones.setdefault(reason or "", []).append(zone)
    cases = [
        (table.c.time_zone == any_(literal(some, ARRAY(Text))), literal(reason or None, Text))
        for reason, some in zones.items()
    ]
    return case(*cases, else_=literal(other, Text)) if cases else literal(other, Text)


#: What the statement is run with. Postgres takes the cohorts for nearly as many as the rows, and
#: would sort a million of these; hashed they are some hundred, and more go to disk by themselves.
SETTINGS: Final = text("""
    SELECT set_config(name, value, true) FROM (VALUES
        ('enable_sort', 'off'), ('work_mem', '32MB'), ('jit', 'off')
    ) AS setting (name, value)
""")


def cohorts(devices: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return the cohorts of the devices found by a statement, the largest first.

    It finds what `columns` names, and what else tells them apart. A cohort has also its size `n`,
    and the `id` of one device.
    """
    found = devices.subquery()
    same = [column for column in found.c if column.name != "id"]
    number = func.count().label("n")
    return (
        select(*same, number, func.min(found.c.id).label("id"))
        .group_by(*same)
        .order_by(number.desc())
    )


def of_ids(
    ids: Sequence[int], duplicates: Sequence[int], *others: ColumnElement[Any]
) -> Select[*tuple[Any, ...]]:
    """Return the statement that finds these columns of installations, of which some are doubles."""
    is_double = i.c.id == any_(literal(duplicates, ARRAY(BigInteger)))
    wanted = i.c.id == any_(literal(ids, ARRAY(BigInteger)))
    return select(*others, is_double.cast(Boolean).label("is_double")).where(wanted)
