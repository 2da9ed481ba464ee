"""The criterion of an audience, and the statement that finds its members by the best of indexes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    any_,
    case,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from pushsvc.storage.tables import installations as i
from pushsvc.targeting.compile import compile_condition, pointing
from pushsvc.targeting.conditions import And, Condition
from pushsvc.targeting.jsonb import Clause
from pushsvc.targeting.rows import Reader, Rows, installation_rows

#: Ids that differ only in so many bits are one array, of 4,096 at most.
_ARRAY_BITS: Final = literal_column("12", Integer())


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What an installation must fulfil to be of an audience."""

    condition: Condition
    reader: Reader
    #: a device without a token may be a member, too
    any_token: bool = False
    #: and so may one whose token is retired
    any_retired: bool = False

    def whatever_token(self) -> "Criterion":
        """Return the criterion with those, too, that fulfil it but for their tokens."""
        return replace(self, any_token=True, any_retired=True)

    def picks(self, table: FromClause) -> Clause:
        """Return what picks the members, by the name that the table has in the statement."""
        return self._picks(self.condition, installation_rows(self.reader, table))

    def members(self) -> Subquery:
        """Return `id`, `token_shared` and `part`, the number of its array, of the members.

        Where a condition is to point to one of certain objects, it goes out from these; and where
        that is the only condition, the pointers tell all of it.
        """
        pointers, others = self._pointers()
        if pointers is not None and not others.conditions and self._is_plain:
            an_id = pointers.c.installation_id
            members = select(*_columns(an_id, pointers.c.token_shared)).distinct()
            return members.where(pointers.c.reachable).subquery()
        return self.select(*_columns(i.c.id, i.c.token_shared)).subquery()

    def select(self, *columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
        """Return the statement that finds these columns of the members' rows."""
        pointers, others = self._pointers()
        if pointers is None:
            return select(*columns).where(self.picks(i))
        an_id = pointers.c.installation_id
        arrays = select(func.array_agg(an_id).label("ids")).group_by(part_of(an_id)).subquery()
        # An index finds the ids of one array in a single walk. They are bounded: held against rows
        # one by one, a long one would cost as many steps for each.
        together = arrays.join(i, i.c.id == any_(arrays.c.ids))
        picked = self._picks(others, installation_rows(self.reader))
        return select(*columns).select_from(together).where(picked)

    def has_earlier(self, served: Callable[[FromClause], Clause] | None = None) -> Clause:
        """Return whether an earlier member has the token of the row of `installations`.

        With `served` only members count that it picks, by the name that their table has.
        """
        earlier = i.alias()
        same_token = earlier.c.device_token == i.c.device_token, earlier.c.id < i.c.id
        picked = self.picks(earlier), true() if served is None else served(earlier)
        there = select(earlier.c.id).where(*same_token, *picked).exists()
        # Only where there can be one: each look is a walk down an index.
        may = and_(i.c.token_shared, i.c.token_retired_at.is_(None))
        return case((may, there), else_=false())

    @property
    def _is_plain(self) -> bool:
        return self.reader.is_master and not self.any_token and not self.any_retired

    def _pointers(self) -> tuple[Subquery | None, And]:
        """Return the pointers to go out from, if there are such, and the other conditions."""
        rows = installation_rows(self.reader)
        given = self.condition.conditions if isinstance(self.condition, And) else (self.condition,)
        for place, one in enumerate(given):
            pointers = pointing(one, rows)
            if pointers is not None:
                return pointers, And((*given[:place], *given[place + 1 :]))
        return None, And(tuple(given))

    def _picks(self, condition: Condition, rows: Rows) -> Clause:
        columns = rows.table.c
        # To Parse a retired token is gone: who asks for tokens does not ask for those.
        live = true() if self.any_retired else columns.token_retired_at.is_(None)
        asked = and_(live, rows.are(compile_condition(condition, rows)))
        if self.any_token:
            return asked
        return and_(has_token(rows.table), asked)


def has_token(table: FromClause) -> Clause:
    """Return whether there is something to send to in a row of installations."""
    return or_(table.c.device_token.is_not(None), table.c.channel_uris.is_not(None))


def _columns(
    an_id: ColumnElement[int], token_shared: ColumnElement[bool]
) -> tuple[ColumnElement[Any], ...]:
    """Return these in the order in which they are wanted, for where they are sorted for it."""
    return part_of(an_id).label("part"), an_id.label("id"), token_shared


def part_of(an_id: ColumnElement[int]) -> ColumnElement[int]:
    """Return the number of the array that an id is in."""
    return an_id.op(">>")(_ARRAY_BITS)


def array_of(an_id: ColumnElement[int]) -> ColumnElement[Any]:
    """Return the array of a group's ids, ascending."""
    return func.array_agg(aggregate_order_by(an_id, an_id))
