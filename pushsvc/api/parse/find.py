"""The parameters of Parse's find and get: read, checked, bounded. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pushsvc.config import Settings
from pushsvc.errors import InvalidQueryError
from pushsvc.model import Json
from pushsvc.storage.installations import Order

DEFAULT_LIMIT: Final = 100
INVALID_KEY_NAME: Final = 105
INVALID_JSON: Final = 107
#: Parse's error table: InvalidLimitError, InvalidSkipError
INVALID_LIMIT: Final = 117
INVALID_SKIP: Final = 118

#: Accepted and without effect here: what an installation points to is not included, and there is
#: one database to read from.
IGNORED: Final = frozenset(
    {
        *("include", "includeAll", "readPreference", "includeReadPreference"),
        *("subqueryReadPreference", "hint", "comment", "redirectClassNameForKey"),
    }
)
FIND: Final = frozenset({"where", "skip", "limit", "order", "count", "keys", "excludeKeys"})
GET: Final = frozenset(
    {
        *("keys", "include", "excludeKeys"),
        *("readPreference", "includeReadPreference", "subqueryReadPreference"),
    }
)
#: Always shown, whatever `keys` says.
ALWAYS: Final = frozenset({"objectId", "createdAt", "updatedAt", "ACL"})

_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Which fields of an object to show."""

    #: None for all
    wanted: frozenset[str] | None
    unwanted: frozenset[str]

    def of(self, shown: Json) -> dict[str, Any]:
        """Return those fields of an object that were asked for."""
        return {
            name: value
            for name, value in shown.items()
            if name in ALWAYS
            or (name not in self.unwanted and (self.wanted is None or name in self.wanted))
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """What a find asks for."""

    where: Json
    skip: int
    limit: int
    order: tuple[Order, ...]
    count: bool
    keys: Keys


def parse_find(params: Mapping[str, Any], settings: Settings) -> Find:
    """Return what a find asks for.

    Raises:
        InvalidQueryError: 102 an unknown parameter, 105 a bad field name, 107 a bad `where`,
            117 a bad `limit`, 118 a bad `skip`.
    """
    for name in params:
        if name not in FIND | IGNORED:
            raise InvalidQueryError(f"Invalid parameter for query: {name[:100]}")
    where = params.get("where", {})
    if not isinstance(where, dict):
        raise InvalidQueryError("where parameter is not valid JSON", parse_code=INVALID_JSON)
    limit = _number(params, "limit", default=DEFAULT_LIMIT, code=INVALID_LIMIT)
    skip = _number(params, "skip", default=0, code=INVALID_SKIP)
    if skip > settings.query_skip_limit:
        message = f"skip must be at most {settings.query_skip_limit}"
        raise InvalidQueryError(message, parse_code=INVALID_SKIP)
    return Find(
        where=where,
        skip=skip,
        limit=min(limit, settings.query_result_limit),
        order=_order(params.get("order")),
        count=params.get("count") not in (None, False, 0, ""),
        keys=_keys(params),
    )


#: Postgres sorts by 1,664 columns at most; nobody needs to come near.
MOST_ORDER_FIELDS: Final = 32


def parse_get(params: Mapping[str, Any]) -> Keys:
    """Return which fields a get asks for.

    Raises:
        InvalidQueryError: 102 an unknown parameter.
    """
    if not params.keys() <= GET:
        raise InvalidQueryError("Improper encode of parameter")
    return _keys(params)


def _number(params: Mapping[str, Any], name: str, *, default: int, code: int) -> int:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidQueryError(f"{name} must be a number of at least 0", parse_code=code)
    return value


def _order(value: Any) -> tuple[Order, ...]:
    names = [name.strip() for name in str(value).split(",")] if value is not None else []
    if len(names) > MOST_ORDER_FIELDS:
        message = f"order names {len(names)} fields; at most {MOST_ORDER_FIELDS} are taken."
        raise InvalidQueryError(message, parse_code=INVALID_KEY_NAME)
    order = tuple(
        Order(field=name.removeprefix("-"), descending=name.startswith("-"))
        for name in names
        if name
    )
    for key in order:
        if not _FIELD.fullmatch(key.field):
            message = f"Invalid field name: {key.field[:100]}."
            raise InvalidQueryError(message, parse_code=INVALID_KEY_NAME)
    return order


def _keys(params: Mapping[str, Any]) -> Keys:
    wanted = _names(params.get("keys"))
    return Keys(wanted=wanted or None, unwanted=_names(params.get("excludeKeys")))


def _names(value: Any) -> frozenset[str]:
    return frozenset(name.strip() for name in str(value).split(",")) if value else frozenset()
