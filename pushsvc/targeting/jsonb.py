"""SQL of jsonb values as MongoDB looks at them: ways into lists, equality, order within a type.

A test is given a jsonb value, or NULL for what is missing, and is true only for what passes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Interval,
    Select,
    Text,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from pushsvc.targeting.conditions import Atom, FromNow, Order, Ordered

#: Types, made once: SQLAlchemy works out for each object anew how its dialect writes one.
JSON: Final = JSONB()
TEXT: Final = Text()
JSONS: Final = ARRAY(JSON)
TEXTS: Final = ARRAY(TEXT)

Clause = ColumnElement[bool]
Value = ColumnElement[Any]
Test = Callable[[Value], Clause]

_NO_LIST: Final = literal_column("'[]'::jsonb", JSON)
#: What is missing, or no object, has no key: as if it were an object without any.
_ONE_EMPTY: Final = literal_column("'[{}]'::jsonb", JSON)
_NO_PATH: Final = literal_column("'{}'::text[]", TEXTS)
_HOLDERS: Final = ("object", "array")
#: The largest index that a key is taken for; a list cannot be longer than an object of 128 KB.
_MAX_INDEX_DIGITS: Final = 6


def reach(value: Value, path: Sequence[str], test: Test) -> Clause:
    """Tell whether one of the values that the path leads to passes the test.

    From an object a key leads to its value. From a list it leads to the values that the objects in
    there have by that key and, where it is a number, to the item of that number.
    """
    if not path:
        return test(value)
    key, *rest = path
    step = _items(_opened(value, key, leads_on=bool(rest)))
    return exists().where(is_type(step, "object"), reach(at(step, key), rest, test))


def _opened(value: Value, key: str, *, leads_on: bool) -> Value:
    """Return a list of the objects that have, by the key, what it leads to."""
    objects: Value = value
    if is_index(key):
        # The item of that number joins the list as an object that has it by that key.
        item = value[(key,)]
        named = func.jsonb_build_array(func.jsonb_build_object(literal(key, TEXT), item))
        # A scalar among others has nothing in it, not even what is missing: MongoDB's rule.
        counts = func.jsonb_typeof(item).in_(_HOLDERS) if leads_on else item.is_not(None)
        numbered = case((counts, named), else_=_NO_LIST)
        objects = value.op("||", return_type=JSON)(numbered)
    return case(
        (is_type(value, "array"), objects),
        (is_type(value, "object"), func.jsonb_build_array(value)),
        else_=_ONE_EMPTY,
    )


def is_index(key: str) -> bool:
    """Tell whether a key may be the number of a list's item."""
    return key.isdigit() and len(key) <= _MAX_INDEX_DIGITS and key == str(int(key))


def at(value: Value, key: str | int) -> Value:
    """Return what an object has by a key, or a list in a place; of any expression."""
    place = literal(key, Integer() if isinstance(key, int) else TEXT)
    return value.op("->", return_type=JSON)(place)


@cache
def word(own: str) -> ColumnElement[str]:
    """Return a word of our own, or of Parse's, as SQL; a caller's word is a parameter."""
    assert own.isidentifier()
    return literal_column(f"'{own}'", TEXT)


def text_at(value: Value, key: str) -> ColumnElement[str]:
    """Return what an object has by a key of Parse's, as text."""
    return value.op("->>", return_type=TEXT)(word(key))


def itself_or_item(test: Test) -> Test:
    """Return the test of a value, or of any item where it is a list."""
    item = item_of_list(test)
    return lambda value: or_(test(value), item(value))


def is_found(values: Select[Any]) -> Test:
    """Return the test of being what a query finds.

    IS TRUE keeps Postgres from joining them: so the query runs once, into a hash table. Joined, it
    may run again for every value, and one within it again for each of its own.
    """
    return lambda value: value.in_(values).is_(true())


def is_in(values: Select[Any]) -> Test:
    """Return the test of being what a query finds, or a list that holds it; null is not found.

    The query stands there once, whatever it has within.
    """
    is_one = is_found(values)

    def one_is_in(value: Value) -> Clause:
        itself = func.jsonb_build_array(value, type_=JSON)
        with_itself = value.op("||", return_type=JSON)(itself)
        looked_at = case((is_type(value, "array"), with_itself), else_=itself)
        return exists().where(is_one(_items(looked_at)))

    return one_is_in


def item_of_list(test: Test) -> Test:
    """Return the test of being a list with an item that passes."""

    def has_one(value: Value) -> Clause:
        # SQL promises no order of AND, and the function fails on what is no list.
        item = _items(case((is_type(value, "array"), value)))
        return exists().where(test(item))

    return has_one


def _items(a_list: Value) -> Value:
    return func.jsonb_array_elements(a_list, type_=JSON).column_valued()


def is_type(value: Value, name: str) -> Clause:
    """Tell whether it is there and has this type of JSON's."""
    return func.jsonb_typeof(value) == word(name)


def equals_one_of(values: Sequence[Atom]) -> Test:
    """Return the test of being one of the values, none of which is None.

    They are a sub-select, which Postgres hashes; of a plain array it tries each value.
    """
    stored_values = [stored(value) for value in values]
    wanted = select(func.unnest(literal(stored_values, JSONS)))
    if any(is_encoded(value, "File") for value in values):
        return lambda value: _known_file(value).in_(wanted)
    return lambda value: value.in_(wanted)


def is_encoded(value: Atom, name: str) -> bool:
    """Tell whether it is that one of Parse's encoded values."""
    return isinstance(value, Mapping) and value["__type"] == name


def _known_file(value: Value) -> Value:
    """Return a File without its address: it is known by its name."""
    name_alone = value.op("-", return_type=JSON)(word("url"))
    return case((text_at(value, "__type") == word("File"), name_alone), else_=value)


def is_null_value(value: Value) -> Clause:
    """Tell whether it is a stored null."""
    return is_type(value, "null")


def compares(order: Order, wanted: Ordered) -> Test:
    """Return the test of having the wanted value's type and that order to it."""
    if isinstance(wanted, datetime | FromNow):
        iso = literal(_iso(wanted), TEXT) if isinstance(wanted, datetime) else _iso_from_now(wanted)
        return lambda value: and_(
            text_at(value, "__type") == word("Date"),
            in_order(text_at(value, "iso").collate("C"), order, iso),
        )
    if isinstance(wanted, str):
        text = literal(wanted, TEXT)
        return lambda value: and_(
            is_type(value, "string"), in_order(text_of(value).collate("C"), order, text)
        )
    kind = "boolean" if isinstance(wanted, bool) else "number"
    bound = literal(wanted, JSON)
    return lambda value: and_(is_type(value, kind), in_order(value, order, bound))


def matches(pattern: str) -> Test:
    """Return the test of being a text that the pattern is found in."""
    return lambda value: and_(is_type(value, "string"), text_of(value).regexp_match(pattern))


def text_of(value: Value) -> ColumnElement[str]:
    """Return a jsonb string as text."""
    return value.op("#>>", return_type=TEXT)(_NO_PATH)


def in_order(one: Value, order: Order, other: Value) -> Clause:
    """Compare two expressions of one type."""
    return {
        Order.LT: one < other,
        Order.LTE: one <= other,
        Order.GT: one > other,
        Order.GTE: one >= other,
    }[order]


def stored(value: Atom) -> Any:
    """Return the value as custom fields hold it, Parse-encoded."""
    return {"__type": "Date", "iso": _iso(value)} if isinstance(value, datetime) else value


def _iso(moment: datetime) -> str:
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{naive.isoformat(timespec='milliseconds')}Z"


def iso_of(moment: ColumnElement[datetime]) -> ColumnElement[str]:
    """Return a moment in Parse's form, to the millisecond."""
    in_utc = func.timezone("UTC", moment)
    return func.to_char(in_utc, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"', type_=TEXT)


def since_now(moment: FromNow) -> ColumnElement[datetime]:
    """Return the moment, counted from the transaction's beginning."""
    return func.now() + literal(timedelta(seconds=moment.seconds), Interval())


def _iso_from_now(moment: FromNow) -> ColumnElement[str]:
    return iso_of(since_now(moment))


def containing(path: Sequence[str], value: Atom) -> Iterator[Any]:
    """Yield the objects one of which a row contains if the path, without numbers, leads to it.

    The index knows containment: {"k": "v"} and {"k": ["v"]} are found by it.
    """
    forms: list[Any] = [stored(value)]
    for key in reversed(path):
        forms = [{key: inner} for form in forms for inner in (form, [form])]
    yield from forms


def built_around(path: Sequence[str], value: Value) -> Iterator[Value]:
    """Yield the same for a value that is an expression."""
    forms = [value]
    for key in reversed(path):
        forms = [
            func.jsonb_build_object(literal(key, TEXT), inner, type_=JSON)
            for form in forms
            for inner in (form, func.jsonb_build_array(form, type_=JSON))
        ]
    yield from forms


def pointer(class_name: str, object_id: ColumnElement[str]) -> Value:
    """Return a Pointer to the object, as fields hold it."""
    parts = (word("__type"), word("Pointer"), word("className"), literal(class_name, TEXT))
    return func.jsonb_build_object(*parts, word("objectId"), object_id, type_=JSON)
