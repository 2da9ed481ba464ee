"""The criterion of an audience, and the statement that finds its members by the best of indexes."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Subquery,
    and_,
    any_,
    func,
    literal_column,
    or_,
    select,
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

    def picks(self, table: FromClause) -> Clause:
        """Return what picks the members, by the name that the table has in the statement."""
        return self._picks(self.condition, installation_rows(self.reader, table))

    def members(self) -> Subquery:
        """Return `id`, `token_shared` and `part`, the number of its array, of the members.

        Where a condition is to point to one of certain objects, it goes out from these; and where
        that is the only condition, the pointers tell all of it.
        """
        rows = installation_rows(self.reader)
        given = self.condition.conditions if isinstance(self.condition, And) else (self.condition,)
        for place, one in enumerate(given):
            pointers = pointing(one, rows)
            if pointers is not None:
                others = And((*given[:place], *given[place + 1 :]))
                return self._from_pointers(pointers, others, rows)
        return _columns(i.c.id, i.c.token_shared).where(self.picks(i)).subquery()

    def _from_pointers(self, pointers: Subquery, others: And, rows: Rows) -> Subquery:
        an_id = pointers.c.installation_id
        if not others.conditions and not self.any_token and self.reader.is_master:
            members = _columns(an_id, pointers.c.token_shared).distinct()
            return members.where(pointers.c.reachable).subquery()
        arrays = select(func.array_agg(an_id).label("ids")).group_by(part_of(an_id)).subquery()
        # An index finds the ids of one array in a single walk. They are bounded: held against rows
        # one by one, a long one would cost as many steps for each.
        together = arrays.join(i, i.c.id == any_(arrays.c.ids))
        members = _columns(i.c.id, i.c.token_shared).select_from(together)
        return members.where(self._picks(others, rows)).subquery()

    def _picks(self, condition: Condition, rows: Rows) -> Clause:
        columns = rows.table.c
        # To Parse a retired token is gone: who asks for tokens does not ask for those.
        live = columns.token_retired_at.is_(None)
        asked = and_(live, rows.are(compile_condition(condition, rows)))
        if self.any_token:
            return asked
        has_token = or_(columns.device_token.is_not(None), columns.channel_uris.is_not(None))
        return and_(has_token, asked)


def _columns(
    an_id: ColumnElement[int], token_shared: ColumnElement[bool]
) -> Select[int, int, bool]:
    """Select these; in the order in which they are wanted, for where they are sorted for it."""
    return select(part_of(an_id).label("part"), an_id.label("id"), token_shared)


def part_of(an_id: ColumnElement[int]) -> ColumnElement[int]:
    """Return the number of the array that an id is in."""
    return an_id.op(">>")(_ARRAY_BITS)


def array_of(an_id: ColumnElement[int]) -> ColumnElement[Any]:
    """Return the array of a group's ids, ascending."""
    return func.array_agg(aggregate_order_by(an_id, an_id))
