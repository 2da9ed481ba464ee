"""One operator of one key, as it was asked, and the bounds of a where-clause. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pushsvc.targeting.conditions import And
from pushsvc.targeting.values import INVALID_JSON, WhereError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a where-clause."""

    #: how deep `$and`, `$or` and `$nor` may nest
    depth: int = 20
    #: how deep queries may nest within queries
    query_depth: int = 4
    #: Values compared in one clause, all told: each equality and `$exists` is one, each `$in` is as
    #: many as its list, and each further part of a dotted key is one more. Channels of a push have
    #: the same bound. It keeps a statement below Postgres's 65,535 parameters.
    values: int = 2_000
    #: items of one `$all`: Parse's guide, "containsAll" takes up to nine
    all_items: int = 9
    #: Characters of a `$regex`, and how many of them one clause has: Postgres keeps so many ready,
    #: more would be understood anew for every row.
    pattern_characters: int = 1_000
    patterns: int = 32
    #: shapes asked of places in one clause; one is as much SQL as fifty values
    places: int = 16
    #: how far `$nearSphere` reaches by itself, in miles: Parse's guide; None for everywhere
    near_miles: float | None = 100


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One operator of one key."""

    key: str
    operator: str
    operand: Any
    #: JSON pointer to the operator
    at: str
    #: all that is asked of the key
    siblings: Mapping[str, Any]
    limits: Limits
    #: reads a where-clause within this one, that of another query; the second is its JSON pointer
    inner: Callable[[Any, str], And]

    def refused(self, message: str, *, code: int = INVALID_JSON) -> WhereError:
        """Return the error that says so of this operator."""
        return WhereError(code, message, field=self.at)
