"""The operators of a where-clause that lead to other objects. Pure.

Codes and words of the errors are those of Parse Server's RestQuery.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pushsvc.targeting.asked import Asked
from pushsvc.targeting.conditions import Condition, InQuery, Not, Query, RelatedTo, Selected
from pushsvc.targeting.values import (
    INVALID_CLASS_NAME,
    INVALID_KEY_NAME,
    INVALID_QUERY,
    WhereError,
    cut,
    is_scalar,
)

_CLASS_NAME: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*")
#: A query's own keys beside the class and the clause: SDKs send the whole query. Which objects are
#: meant does not hang on them, so that no audience ends at the hundredth user.
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("limit", "skip", "order", "keys", "excludeKeys", "include", "includeAll", "count"),
        *("readPreference", "includeReadPreference", "subqueryReadPreference", "hint"),
        *("explain", "comment"),
    }
)
_SELECT_KEYS: Final = frozenset({"query", "key"})


def related_to(operand: Any, *, at: str) -> RelatedTo:
    """Return the condition of being in a relation of an object.

    Raises WhereError 102: it is not `{"object": Pointer, "key": name}`.
    """
    owner = operand.get("object") if isinstance(operand, Mapping) else None
    key = operand.get("key") if isinstance(operand, Mapping) else None
    if not isinstance(owner, Mapping) or not _is_key(key):
        raise WhereError(INVALID_QUERY, "improper usage of $relatedTo", field=at)
    names = owner.get("className"), owner.get("objectId")
    if not all(isinstance(name, str) and is_scalar(name) for name in names):
        raise WhereError(INVALID_QUERY, "improper usage of $relatedTo", field=at)
    return RelatedTo(str(names[0]), str(names[1]), str(key))


def _in_query(asked: Asked) -> Condition:
    return InQuery(asked.key, _query(asked, asked.operand, at=asked.at))


def _select(asked: Asked) -> Condition:
    operand = asked.operand
    if not isinstance(operand, Mapping) or operand.keys() != _SELECT_KEYS:
        raise asked.refused(f"improper usage of {asked.operator}", code=INVALID_QUERY)
    query = _query(asked, operand["query"], at=f"{asked.at}/query")
    if not _is_key(operand["key"]):
        message = f"Invalid key name: {cut(str(operand['key']))}"
        raise asked.refused(message, code=INVALID_KEY_NAME)
    return Selected(asked.key, query, operand["key"])


def _query(asked: Asked, query: Any, *, at: str) -> Query:
    improper = f"improper usage of {asked.operator}"
    if not isinstance(query, Mapping) or "className" not in query:
        raise asked.refused(improper, code=INVALID_QUERY)
    # `$select` alone may leave the clause out, and means every object then.
    if "where" not in query and asked.operator in {"$inQuery", "$notInQuery"}:
        raise asked.refused(improper, code=INVALID_QUERY)
    unknown = query.keys() - _WITHOUT_EFFECT - {"className", "where"}
    if unknown:
        message = f"Invalid parameter for query: {cut(min(unknown))}"
        raise asked.refused(message, code=INVALID_QUERY)
    name = query["className"]
    if not isinstance(name, str) or not _CLASS_NAME.fullmatch(name):
        message = f"Invalid classname: {cut(str(name))}"
        raise asked.refused(message, code=INVALID_CLASS_NAME)
    return Query(name, asked.inner(query.get("where", {}), name, f"{at}/where"))


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and is_key_name(key)


#: Characters of a key; Parse's SDKs stay far below.
_MAX_KEY: Final = 256
#: Keys that a dotted key leads through; each is one more look into lists.
_MAX_PARTS: Final = 16
_KEY: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*")


def is_key_name(key: str) -> bool:
    """Tell whether it can be the key of a field, dotted or not."""
    return len(key) <= _MAX_KEY and key.count(".") < _MAX_PARTS and bool(_KEY.fullmatch(key))


#: Rows of the table in `operators`.
JOIN_OPERATORS: Final[Mapping[str, Callable[[Asked], Condition]]] = {
    "$inQuery": _in_query,
    "$notInQuery": lambda asked: Not(_in_query(asked)),
    "$select": _select,
    "$dontSelect": lambda asked: Not(_select(asked)),
}
