"""One operator of one key, as it was asked, and the bounds of a where-clause. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pushsvc.targeting.conditions import And
from pushsvc.targeting.values import INVALID_JSON, WhereError

#: The class whose rows have a table of their own.
INSTALLATION: Final = "_Installation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a where-clause."""

    #: how deep `$and`, `$or` and `$nor` may nest
    depth: int = 20
    #: how deep queries may nest within queries
    query_depth: int = 4
    #: Items of lists, keys and operators in one clause, all told, and channels of a push.
    values: int = 10_000
    #: What the conditions of one clause may weigh together (`bounds`): it keeps the time to make
    #: the statement well below a second, and the statement below the driver's 32,767 parameters.
    conditions: int = 1_000
    #: items of one `$all`: Parse's guide, "containsAll" takes up to nine
    all_items: int = 9
    #: Characters of a `$regex`, and how many of them one clause has: Postgres keeps so many ready,
    #: more would be understood anew for every row.
    pattern_characters: int = 1_000
    patterns: int = 32
    #: words and phrases of one `$text`
    words: int = 32
    #: shapes asked of places in one clause; one is as much work for each row as fifty values
    places: int = 16
    #: how far `$nearSphere` reaches by itself, in miles: Parse's guide; None for everywhere
    near_miles: float | None = 100

    def of_stored(self) -> "Limits":
        """Return the same meaning without bounds, for a clause that was accepted before.

        The bounds of then may have been wider, and an accepted push is sent.
        """
        return replace(
            self,
            depth=_ANY,
            query_depth=_ANY,
            values=_ANY,
            conditions=_ANY,
            all_items=_ANY,
            pattern_characters=_ANY,
            patterns=_ANY,
            words=_ANY,
            places=_ANY,
        )


_ANY: Final = 2**31
LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One operator of one key."""

    #: whose objects are asked
    class_name: str
    key: str
    operator: str
    operand: Any
    #: JSON pointer to the operator
    at: str
    #: all that is asked of the key
    siblings: Mapping[str, Any]
    limits: Limits
    #: reads a where-clause within this one, that of another query; then its class and JSON pointer
    inner: Callable[[Any, str, str], And]

    def refused(self, message: str, *, code: int = INVALID_JSON) -> WhereError:
        """Return the error that says so of this operator."""
        return WhereError(code, message, field=self.at)
