"""Request header blocks, and the dynamic table behind them (RFC 7541 sections 2 and 6).

A block is a plan's constant bytes with :path and the varying values put between them. A plan
holds indices into the dynamic table, and every insertion moves those, so a plan carries the
epoch it was made in and is made anew in the next. Insertions are rare: a template's constant
fields and the names of its varying ones, once per connection.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from pushsvc.delivery.wire.errors import HeaderError
from pushsvc.delivery.wire.headers import (
    Template,
    are_alike,
    are_paths,
    check_path,
    check_value,
    is_path,
    is_solid,
)
from pushsvc.delivery.wire.hpack import DEFAULT_TABLE_BYTES, field_bytes, integer, string
from pushsvc.delivery.wire.static import STATIC, STATIC_FIELDS, STATIC_NAMES, Field

_INDEXED: Final = 0x80
_INCREMENTAL: Final = 0x40
_SIZE_UPDATE: Final = 0x20
_HTTPS: Final = bytes((_INDEXED | STATIC_FIELDS[b":scheme", b"https"],))
_PATH_NAME: Final = bytes((STATIC_NAMES[b":path"],))

#: A worker has a handful of templates at a time; those of finished pushes are forgotten.
_MAX_PLANS: Final = 256

#: A full table evicts for new fields only this rarely (so many, once in so many plans): were it
#: to evict each time, templates in turn would push each other out and no plan would live for
#: two requests. A few at once, since the fields of one template come together.
_PLANS_PER_ROUND: Final = 1_024
_EVICTIONS_PER_ROUND: Final = 8

#: String lengths as bytes, ready made for what is usual.
_LENGTHS: Final = {length: integer(length, 7) for length in range(512)}


class _Plan(NamedTuple):
    epoch: int
    before_path: bytes
    after_path: bytes
    #: Each varying field up to its value's length.
    names: tuple[bytes, ...]


class Encoder:
    """Encodes the requests of one connection, in the order they are sent."""

    def __init__(self, authority: bytes) -> None:
        self._authority: Field = (b":authority", authority)
        self._table: deque[Field] = deque()
        self._used = 0
        self._size = DEFAULT_TABLE_BYTES
        #: The smallest size since the last block, or None: the peer has not changed it.
        self._smallest: int | None = None
        self._epoch = 0
        self._plans: dict[Template, _Plan] = {}
        self._plans_made = 0
        self._evictions_left = 0

    def block(self, template: Template, path: bytes, varying: tuple[bytes, ...]) -> bytes:
        """The header block of one request; it must be sent before the next one is made.

        Raises:
            HeaderError: path or varying must not be sent; nothing was encoded.
        """
        if not is_path(path):
            check_path(path)
        plan = self._plans.get(template)
        if plan is None or plan.epoch != self._epoch:
            return self._introduce(template, path, varying)
        _, before_path, after_path, names = plan
        if len(varying) != len(names):
            raise _miscounted(template, varying)
        size = len(path)
        parts = [before_path, _LENGTHS.get(size) or integer(size, 7), path, after_path]
        for at, value in enumerate(varying):
            if not is_solid(value):
                check_value(template.varying[at], value)
            size = len(value)
            parts += (names[at], _LENGTHS.get(size) or integer(size, 7), value)
        return b"".join(parts)

    def columns(
        self, template: Template, paths: Sequence[bytes], varying: Sequence[tuple[bytes, ...]]
    ) -> list[Sequence[bytes]] | None:
        """The blocks of many requests as columns: the first pieces of all, the second ones, ...

        All blocks are of one size. None, and nothing has changed, unless the template is known,
        and what varies is solid and as long in each request: `block` takes them one by one.
        """
        plan = self._plans.get(template)
        if plan is None or plan.epoch != self._epoch or not are_paths(paths):
            return None
        values = [*zip(*varying, strict=True)]
        if len(values) != len(plan.names) or not all(map(are_alike, values)):
            return None
        columns = _counted(plan.before_path, paths)
        ahead = plan.after_path
        for name, column in zip(plan.names, values, strict=True):
            columns += _counted(ahead + name, column)
            ahead = b""
        if ahead:
            columns.append([ahead] * len(paths))
        return columns

    def resize(self, size: int) -> None:
        """Obey the peer's HEADER_TABLE_SIZE; more than the default we never use (section 4.2)."""
        size = min(size, DEFAULT_TABLE_BYTES)
        if size == self._size and self._smallest is None:
            return
        self._smallest = size if self._smallest is None else min(size, self._smallest)
        self._size = size
        self._evict(size)
        self._epoch += 1

    # -- The first request of a template in an epoch ------------------------------------------

    def _introduce(self, template: Template, path: bytes, varying: tuple[bytes, ...]) -> bytes:
        """A block that puts into the table what the template's next ones will refer to."""
        if len(varying) != len(template.varying):
            raise _miscounted(template, varying)
        for name, value in zip(template.varying, varying, strict=True):
            check_value(name, value)
        parts = [
            *self._size_updates(),
            self._known_or_literal((b":method", template.method)),
            _HTTPS,
            self._indexed(self._authority),
            _PATH_NAME,
            string(path),
            *[self._indexed(field) for field in template.fields],
            template.literal,
        ]
        for name, value in zip(template.varying, varying, strict=True):
            parts.append(
                self._name(name) + string(value)
                if self._name_index(name)
                else self._indexed((name, value))
            )
        self._remember(template)
        return b"".join(parts)

    def _remember(self, template: Template) -> None:
        self._plans_made += 1
        if self._plans_made % _PLANS_PER_ROUND == 0:
            self._evictions_left = _EVICTIONS_PER_ROUND
        if len(self._plans) >= _MAX_PLANS:
            self._plans.clear()
        before = (
            self._known_or_literal((b":method", template.method)),
            _HTTPS,
            self._known_or_literal(self._authority),
            _PATH_NAME,
        )
        self._plans[template] = _Plan(
            epoch=self._epoch,
            before_path=b"".join(before),
            after_path=b"".join(map(self._known_or_literal, template.fields)) + template.literal,
            names=tuple(map(self._name, template.varying)),
        )

    def _size_updates(self) -> list[bytes]:
        """What must open the next block: the smallest size in between, then the present one."""
        if self._smallest is None:
            return []
        sizes = dict.fromkeys((self._smallest, self._size))
        self._smallest = None
        return [integer(size, 5, _SIZE_UPDATE) for size in sizes]

    # -- Representations ----------------------------------------------------------------------

    def _indexed(self, field: Field) -> bytes:
        """The field by its index, or as a literal that enters the table if it may."""
        if self._index(field) or not self._may_insert(field_bytes(field)):
            return self._known_or_literal(field)
        index = self._name_index(field[0])
        name = integer(index, 6, _INCREMENTAL) if index else b"\x40" + string(field[0])
        self._insert(field)
        return name + string(field[1])

    def _known_or_literal(self, field: Field) -> bytes:
        index = self._index(field)
        return integer(index, 7, _INDEXED) if index else self._name(field[0]) + string(field[1])

    def _name(self, name: bytes) -> bytes:
        """The start of a literal without indexing (section 6.2.2)."""
        index = self._name_index(name)
        return integer(index, 4) if index else b"\x00" + string(name)

    def _index(self, field: Field) -> int:
        if field in STATIC_FIELDS:
            return STATIC_FIELDS[field]
        return self._table.index(field) + len(STATIC) if field in self._table else 0

    def _name_index(self, name: bytes) -> int:
        if name in STATIC_NAMES:
            return STATIC_NAMES[name]
        for at, (known, _) in enumerate(self._table):
            if known == name:
                return at + len(STATIC)
        return 0

    # -- The table ----------------------------------------------------------------------------

    def _may_insert(self, size: int) -> bool:
        if self._used + size <= self._size:
            return True
        if size > self._size or not self._evictions_left:
            return False
        self._evictions_left -= 1
        return True

    def _insert(self, field: Field) -> None:
        self._evict(self._size - field_bytes(field))
        self._table.appendleft(field)
        self._used += field_bytes(field)
        self._epoch += 1

    def _evict(self, room: int) -> None:
        while self._table and self._used > room:
            self._used -= field_bytes(self._table.pop())


def _counted(ahead: bytes, strings: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Strings of one size, and before them what is ahead of each and its length."""
    return [[ahead + integer(len(strings[0]), 7)] * len(strings), strings]


def _miscounted(template: Template, varying: tuple[bytes, ...]) -> HeaderError:
    wanted = b", ".join(template.varying) or b"none"
    return HeaderError(wanted, f"{len(varying)} varying values given")
