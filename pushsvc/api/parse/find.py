"""The parameters of Parse's find and get: read, checked, bounded. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pushsvc.config import Settings
from pushsvc.errors import InvalidQueryError
from pushsvc.model import Json
from pushsvc.storage.ordering import Order

DEFAULT_LIMIT: Final = 100
#: Sorts by how well the text that `$text` looks at fits its words.
SCORE: Final = "$score"
INVALID_KEY_NAME: Final = 105
INVALID_JSON: Final = 107
#: Parse's error table: InvalidLimitError, InvalidSkipError
INVALID_LIMIT: Final = 117
INVALID_SKIP: Final = 118

#: Accepted and without effect here: there is one database to read from, and of the redirect
#: `pushsvc.api.parse.redirect` has made another class.
IGNORED: Final = frozenset(
    {
        *("readPreference", "includeReadPreference", "subqueryReadPreference"),
        *("hint", "comment", "redirectClassNameForKey"),
    }
)
FIND: Final = frozenset(
    {
        *("where", "skip", "limit", "order", "count", "keys", "excludeKeys"),
        *("include", "includeAll"),
    }
)
GET: Final = frozenset(
    {
        *("keys", "include", "includeAll", "excludeKeys"),
        *("readPreference", "includeReadPreference", "subqueryReadPreference"),
    }
)
#: Always shown, whatever `keys` says.
ALWAYS: Final = frozenset({"objectId", "createdAt", "updatedAt", "ACL"})

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+){0,15}")
#: Parse Server knows its own columns by these names in an order, too.
_ALIASES: Final = {"_created_at": "createdAt", "_updated_at": "updatedAt"}
#: Each is one more pass over what was found; nobody needs to come near.
MOST_INCLUDES: Final = 32
INCLUDE_DEPTH: Final = 8

#: The names on the way from an object to a pointer.
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Which fields of an object to show."""

    #: None for all; a dotted key shows a part of what is included
    wanted: frozenset[str] | None
    unwanted: frozenset[str]

    def of(self, shown: Json) -> dict[str, Any]:
        """Return those fields of an object that were asked for."""
        if self.wanted is None and not self.unwanted:
            return dict(shown)
        roots = self.wanted and {key.partition(".")[0] for key in self.wanted}
        return {
            name: value
            for name, value in shown.items()
            if name in ALWAYS or (name not in self.unwanted and (roots is None or name in roots))
        }

    def within(self, path: Path) -> "Keys":
        """Return which fields of an included object to show; all, unless some are named."""
        wanted = _below(path, self.wanted or frozenset())
        return Keys(wanted=wanted or None, unwanted=_below(path, self.unwanted))


def _below(path: Path, keys: frozenset[str]) -> frozenset[str]:
    before = ".".join((*path, ""))
    return frozenset(key.removeprefix(before) for key in keys if key.startswith(before))


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Which pointers to replace by their objects."""

    paths: frozenset[Path] = frozenset()
    #: all pointers of the object itself
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What to show of what was found."""

    keys: Keys
    include: Include

    def of(self, shown: Json) -> dict[str, Any]:
        """Return those fields of an object without pointers that were asked for."""
        return self.keys.of(shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """What a find asks for."""

    where: Json
    skip: int
    limit: int
    order: tuple[Order, ...]
    count: bool
    shown: Shown

    @property
    def keys(self) -> Keys:
        """Which fields to show."""
        return self.shown.keys


def parse_find(params: Mapping[str, Any], settings: Settings) -> Find:
    """Return what a find asks for.

    Raises:
        InvalidQueryError: 102 an unknown parameter, 105 a bad field name, 107 a bad `where`,
            117 a bad `limit`, 118 a bad `skip`; 102 includes without bounds.
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
        count=_is_true(params.get("count")),
        shown=_shown(params),
    )


#: Postgres sorts by 1,664 columns at most; nobody needs to come near.
MOST_ORDER_FIELDS: Final = 32


def parse_get(params: Mapping[str, Any]) -> Shown:
    """Return what a get asks to show.

    Raises:
        InvalidQueryError: 102 an unknown parameter.
    """
    if not params.keys() <= GET:
        raise InvalidQueryError("Improper encode of parameter")
    return _shown(params)


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
        Order(field=_ALIASES.get(field, field), descending=name.startswith("-"))
        for name in names
        if (field := name.removeprefix("-"))
    )
    for key in order:
        if key.field != SCORE and not _KEY.fullmatch(key.field):
            message = f"Invalid field name: {key.field[:100]}."
            raise InvalidQueryError(message, parse_code=INVALID_KEY_NAME)
    return order


def _shown(params: Mapping[str, Any]) -> Shown:
    # SDKs ask for the score when they sort by it; nobody is shown one, and it hides nothing.
    keys = Keys(
        wanted=_names(params.get("keys")) - {SCORE} or None,
        unwanted=_names(params.get("excludeKeys")),
    )
    names = _names(params.get("include"))
    # A dotted key means the object that it leads into.
    parents = {name.rpartition(".")[0] for name in keys.wanted or ()} - {""}
    paths: set[Path] = set()
    for name in (names | parents) - {"*"}:
        path = tuple(name.split("."))
        # What is on the way is included, too.
        paths.update(path[:length] for length in range(1, len(path) + 1))
    if len(paths) > MOST_INCLUDES or max(map(len, paths), default=0) > INCLUDE_DEPTH:
        message = f"include has at most {MOST_INCLUDES} pointers, {INCLUDE_DEPTH} deep."
        raise InvalidQueryError(message)
    everything = "*" in names or _is_true(params.get("includeAll"))
    return Shown(keys=keys, include=Include(paths=frozenset(paths), everything=everything))


def _is_true(value: Any) -> bool:
    return value not in (None, False, 0, "")


def _names(value: Any) -> frozenset[str]:
    if not value:
        return frozenset()
    names = value if isinstance(value, list) else str(value).split(",")
    return frozenset(str(name).strip() for name in names) - {""}
