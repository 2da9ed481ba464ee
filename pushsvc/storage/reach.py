"""The devices of an audience in cohorts: those of one get the same, or nothing for one reason.

An audience of a million devices is a few hundred cohorts. Whatever a client may write into its
installation is cut to what makes a difference.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    any_,
    case,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pushsvc.storage.tables import installations as i

#: Characters of a locale, and of a push type, that shaping looks at.
LOCALE_CHARACTERS: Final = 35
#: A bundle id has 255; what is longer is none.
APP_CHARACTERS: Final = 256

#: Kinds of tokens. A URI is told by its origin, `https://db5.notify.windows.com`.
NO_TOKEN: Final = ""
HEX: Final = "hex"
#: has a colon, as FCM's registration tokens have
COLON: Final = ":"
#: a browser's own subscription, which is JSON
BRACE: Final = "{"
OTHER: Final = "other"

_TOKEN: Final = func.coalesce(i.c.device_token, "")
_ORIGIN: Final = "(?i)^https?://[^/?#]{0,255}"
# In an order in which most rows are told by one look, and no pattern is held against most.
_KIND: Final = case(
    (_TOKEN == "", NO_TOKEN),
    (
        func.strpos(_TOKEN, ":") > 0,
        case(
            (func.left(_TOKEN, 1) == "{", BRACE),
            (func.strpos(_TOKEN, "//") > 0, func.coalesce(func.substring(_TOKEN, _ORIGIN), COLON)),
            else_=COLON,
        ),
    ),
    (func.translate(_TOKEN, "0123456789abcdefABCDEF", "") == "", HEX),
    else_=OTHER,
)
#: Names to origins. A Windows device has one; of a client that writes many, the first count.
_CHANNELS: Final[ColumnElement[Any]] = literal_column(
    """CASE WHEN installations.channel_uris IS NOT NULL THEN (
        SELECT jsonb_object_agg(
            left(name, 100), substring(uri FROM '(?i)^https?://[^/?#]{0,255}')
        ) FROM (
            SELECT key AS name, value AS uri FROM jsonb_each_text(installations.channel_uris)
            ORDER BY key <> '_Default', key COLLATE "C" LIMIT 16
        ) AS uris
    ) END""",
    JSONB(),
)
COLUMNS: Final[Sequence[ColumnElement[Any]]] = (
    i.c.id,
    i.c.device_type,
    func.left(i.c.push_type, LOCALE_CHARACTERS).label("push_type"),
    func.left(i.c.locale_identifier, LOCALE_CHARACTERS).label("locale"),
    func.left(i.c.app_identifier, APP_CHARACTERS).label("app_identifier"),
    _KIND.label("kind"),
    _CHANNELS.label("channels"),
    i.c.token_retired_at.is_not(None).label("retired"),
)


#: What the statement is run with. Postgres takes the cohorts for nearly as many as the rows, and
#: would sort a million of these; hashed they are some hundred, and more go to disk by themselves.
SETTINGS: Final = text("""
    SELECT set_config(name, value, true) FROM (VALUES
        ('enable_sort', 'off'), ('work_mem', '32MB'), ('jit', 'off')
    ) AS setting (name, value)
""")


def cohorts(devices: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Return the cohorts of the devices found by a statement, the largest first.

    It finds COLUMNS, and `is_double`. A cohort has also its size `n`, and the `id` of one device.
    """
    found = devices.subquery()
    same = [column for column in found.c if column.name != "id"]
    number = func.count().label("n")
    return (
        select(*same, number, func.min(found.c.id).label("id"))
        .group_by(*same)
        .order_by(number.desc())
    )


def of_ids(ids: Sequence[int], duplicates: Sequence[int]) -> Select[*tuple[Any, ...]]:
    """Return the statement that finds COLUMNS of these installations, of which some are doubles."""
    is_double = i.c.id == any_(literal(duplicates, ARRAY(BigInteger)))
    wanted = i.c.id == any_(literal(ids, ARRAY(BigInteger)))
    return select(*COLUMNS, is_double.cast(Boolean).label("is_double")).where(wanted)
