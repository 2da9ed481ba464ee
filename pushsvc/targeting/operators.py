"""What a where-clause asks of one key becomes conditions: the table of Parse's operators. Pure.

Codes and words of the errors are those of Parse Server's MongoDB adapter.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pushsvc.targeting.asked import INSTALLATION, Asked, Limits
from pushsvc.targeting.conditions import (
    NOBODY,
    And,
    Atom,
    Compared,
    Condition,
    ContainedBy,
    Equal,
    Exists,
    Matches,
    Not,
    OneOf,
    Order,
)
from pushsvc.targeting.joins import JOIN_OPERATORS
from pushsvc.targeting.patterns import OPTIONS, PatternError, translated
from pushsvc.targeting.places import PLACE_OPERATORS
from pushsvc.targeting.searches import searched
from pushsvc.targeting.values import (
    INVALID_JSON,
    INVALID_QUERY,
    WhereError,
    atom,
    cut,
    from_now,
    is_scalar,
    text,
)


def constraints(
    key: str,
    value: Any,
    *,
    at: str,
    class_name: str,
    limits: Limits,
    inner: Callable[[Any, str, str], And],
) -> Iterator[Condition]:
    """Yield what one key asks for: an equality, or one condition for each operator.

    Raises WhereError: 102 over a bound or an improper query, 107 an unknown operator or a value
    that cannot be compared with, 111 a bad encoded value.
    """
    if isinstance(value, list):
        raise _unusable(value, at)
    if not isinstance(value, Mapping):
        yield Equal(key, atom(value, at=at))
        return
    direct = {name: part for name, part in value.items() if not name.startswith("$")}
    if len(direct) == len(value):
        if "__type" not in value:
            raise _unusable(value, at)
        yield Equal(key, atom(value, at=at))
        return
    # Parse Server folds an encoded value beside operators into `$eq`.
    folded = {"$eq": direct} if direct else {}
    operators = {name: part for name, part in value.items() if name.startswith("$")} | folded
    for operator, operand in operators.items():
        if operator not in _OPERATORS:
            raise WhereError(INVALID_JSON, f"bad constraint: {cut(operator)}", field=at)
        asked = Asked(
            class_name=class_name,
            key=key,
            operator=operator,
            operand=operand,
            at=f"{at}/{operator}",
            siblings=operators,
            limits=limits,
            inner=inner,
        )
        yield _OPERATORS[operator](asked)


def _unusable(value: Any, at: str) -> WhereError:
    return WhereError(INVALID_JSON, f"You cannot use {text(value)} as a query parameter.", field=at)


# ---------------------------------------------------------------- equality and lists


def _eq(asked: Asked) -> Condition:
    if _is_relative(asked.operand):
        raise asked.refused(
            "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators"
        )
    return Equal(asked.key, atom(asked.operand, at=asked.at))


def _in(asked: Asked) -> OneOf:
    items = _list(asked, f"bad {asked.operator} value")
    # Lists within the list are flattened, as Parse Server does.
    flat = [inner for item in items for inner in (item if isinstance(item, list) else [item])]
    return OneOf(asked.key, _atoms(asked, flat))


def _all(asked: Asked) -> Condition:
    items = _list(asked, "bad $all value")
    if len(items) > asked.limits.all_items:
        message = f"$all takes at most {asked.limits.all_items} values."
        raise asked.refused(message, code=INVALID_QUERY)
    patterns = [item["$regex"] for item in items if isinstance(item, Mapping) and "$regex" in item]
    if 0 < len(patterns) < len(items):
        raise asked.refused(f"All $all values must be of regex type or none: {text(items)}")
    held: tuple[Condition, ...] = tuple(_pattern(asked, pattern, "") for pattern in patterns)
    if not patterns:
        held = tuple(Equal(asked.key, value) for value in _atoms(asked, items))
    # Nothing to hold is held by nobody: MongoDB's rule, and no list that came out empty widens.
    return And(held) if held else NOBODY


def _contained_by(asked: Asked) -> Condition:
    items = _list(asked, "bad $containedBy: should be an array")
    return ContainedBy(asked.key, _atoms(asked, items))


def _exists(asked: Asked) -> Condition:
    # What is true is what JavaScript calls so: all but false, null, 0 and "".
    wanted = isinstance(asked.operand, list | Mapping) or bool(asked.operand)
    return Exists(asked.key, wanted)


def _list(asked: Asked, message: str) -> list[Any]:
    if not isinstance(asked.operand, list):
        raise asked.refused(message)
    return asked.operand


def _atoms(asked: Asked, values: list[Any]) -> tuple[Atom, ...]:
    return tuple(atom(value, at=asked.at) for value in values)


# ---------------------------------------------------------------- order

#: Special fields that hold no moments, of every class and of those that have more of them.
_OF_EVERY_CLASS: Final = frozenset({"objectId"})
_TIMELESS: Final[Mapping[str, frozenset[str]]] = {
    INSTALLATION: frozenset(
        {
            *("objectId", "installationId", "deviceToken", "deviceType", "pushType", "GCMSenderId"),
            *("timeZone", "localeIdentifier", "appVersion", "appName", "appIdentifier"),
            *("parseVersion", "channels", "channelUris", "badge"),
        }
    )
}


def _compared(asked: Asked) -> Condition:
    order = Order(asked.operator)
    if _is_relative(asked.operand):
        return _relative(asked, order)
    value = atom(asked.operand, at=asked.at)
    if value is None:
        # MongoDB's rule: null is as large as null, and nothing else has an order to it.
        return Equal(asked.key, None) if order in {Order.LTE, Order.GTE} else NOBODY
    if isinstance(value, Mapping):
        raise asked.refused(f"bad atom: {text(asked.operand)}")
    return Compared(asked.key, order, value)


def _relative(asked: Asked, order: Order) -> Condition:
    if asked.key in _TIMELESS.get(asked.class_name, _OF_EVERY_CLASS):
        raise asked.refused("$relativeTime can only be used with Date field")
    spoken = asked.operand["$relativeTime"]
    moment = from_now(spoken) if isinstance(spoken, str) else "It should be a string."
    if isinstance(moment, str):
        raise asked.refused(f"bad $relativeTime ({asked.operator}) value. {moment}")
    return Compared(asked.key, order, moment)


def _is_relative(operand: Any) -> bool:
    return isinstance(operand, Mapping) and "$relativeTime" in operand


# ---------------------------------------------------------------- patterns


def _regex(asked: Asked) -> Condition:
    options = asked.siblings.get("$options", "")
    if "$options" in asked.siblings and (
        not isinstance(options, str) or not OPTIONS.fullmatch(options)
    ):
        shown = cut(options) if isinstance(options, str) else text(options)
        message = f"Bad $options value for query: {shown}"
        raise asked.refused(message, code=INVALID_QUERY)
    return _pattern(asked, asked.operand, options)


def _pattern(asked: Asked, pattern: Any, options: str) -> Matches:
    if not isinstance(pattern, str) or not is_scalar(pattern):
        raise asked.refused("$regex value must be a string", code=INVALID_QUERY)
    if len(pattern) > asked.limits.pattern_characters:
        message = f"$regex has at most {asked.limits.pattern_characters} characters."
        raise asked.refused(message, code=INVALID_QUERY)
    try:
        return Matches(asked.key, translated(pattern, options))
    except PatternError as error:
        message = f"Invalid $regex value for query: {error}"
        raise asked.refused(message, code=INVALID_QUERY) from error


def _options(asked: Asked) -> Condition:
    if "$regex" not in asked.siblings:
        raise asked.refused("$options needs a $regex", code=INVALID_QUERY)
    # `$regex` has read them.
    return And(())


#: A new operator is a row here, a node in `conditions`, and a row in `compile`.
_OPERATORS: Final[Mapping[str, Callable[[Asked], Condition]]] = {
    "$eq": _eq,
    "$ne": lambda asked: Not(_eq(asked)),
    "$in": _in,
    "$nin": lambda asked: Not(_in(asked)),
    "$all": _all,
    "$containedBy": _contained_by,
    "$exists": _exists,
    "$regex": _regex,
    "$options": _options,
    **dict.fromkeys(Order, _compared),
    **PLACE_OPERATORS,
    **JOIN_OPERATORS,
    "$text": searched,
}
