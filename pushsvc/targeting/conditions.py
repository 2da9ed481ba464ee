"""The nouns of a query: the nodes of the tree that a where-clause becomes. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pushsvc.model import Json

#: A value to compare with: null, a scalar, a moment (Parse's Date), or another of Parse's encoded
#: values as the object it is stored as.
Atom = None | bool | int | float | str | datetime | Json


@dataclass(frozen=True, slots=True)
class Equal:
    """The field is the value, or a list that holds it; None fits what is missing or null."""

    field: str
    value: Atom


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field equals one of the values; without values, it fits nobody."""

    field: str
    values: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there (a stored null is), or is not."""

    field: str
    wanted: bool


class Order(StrEnum):
    """How the field stands to the value of a `Compared`."""

    LT = "$lt"
    LTE = "$lte"
    GT = "$gt"
    GTE = "$gte"


@dataclass(frozen=True, slots=True)
class FromNow:
    """A moment that is so far from when the query runs: Parse's `$relativeTime`."""

    seconds: int


#: What has an order, each among its own kind.
Ordered = bool | int | float | str | datetime | FromNow


@dataclass(frozen=True, slots=True)
class Compared:
    """The field, or an item of the list that it is, has the value's type and that order to it."""

    field: str
    order: Order
    value: Ordered


@dataclass(frozen=True, slots=True)
class ContainedBy:
    """The field is no list with an item beside these: Parse's `$containedBy`."""

    field: str
    values: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """The field is a text that the pattern is found in, or a list that holds one."""

    field: str
    #: in Postgres's words, options included
    pattern: str


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the earth, in degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Cap:
    """What is no farther from a point, as an angle at the earth's centre."""

    center: Point
    radians: float


@dataclass(frozen=True, slots=True)
class Box:
    """What lies between two latitudes and, eastwards, between two longitudes."""

    southwest: Point
    northeast: Point


@dataclass(frozen=True, slots=True)
class Ring:
    """What a closed line surrounds: the side that is less of the earth, where it rounds a pole.

    From point to point the line goes the shorter way around, straight on a map of degrees.
    """

    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Within:
    """The field is a GeoPoint in there."""

    field: str
    shape: Cap | Box | Ring


@dataclass(frozen=True, slots=True)
class Near:
    """The field is a GeoPoint no farther away; a result is sorted by it."""

    field: str
    cap: Cap


@dataclass(frozen=True, slots=True)
class Surrounds:
    """The field is a Polygon with the point in it."""

    field: str
    point: Point


@dataclass(frozen=True, slots=True)
class Query:
    """The objects of a class that fit a condition."""

    class_name: str
    where: "And"


@dataclass(frozen=True, slots=True)
class InQuery:
    """The field is a Pointer to one of the objects, or a list that holds one."""

    field: str
    query: Query


@dataclass(frozen=True, slots=True)
class Selected:
    """The field equals what one of the objects has by a key, or an item of the list it has."""

    field: str
    query: Query
    key: str


@dataclass(frozen=True, slots=True)
class RelatedTo:
    """It is in a relation of an object."""

    class_name: str
    object_id: str
    #: the relation, a field of the object
    field: str


@dataclass(frozen=True, slots=True)
class Searched:
    """The field is a text with these words, in any of their forms: Parse's `$text`."""

    field: str
    #: a configuration of Postgres's text search
    language: str
    #: one of the words is enough where there is no phrase; with phrases, all of these are wanted
    words: tuple[str, ...]
    phrases: tuple[str, ...]
    unwanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All of the conditions hold; without conditions, it fits everybody."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """One of the conditions holds; without conditions, it fits nobody."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold, be it for want of a field."""

    condition: "Condition"


Places = Within | Near | Surrounds
Joined = InQuery | Selected | RelatedTo
Texts = Matches | Searched
Plain = Equal | OneOf | Exists | Compared | ContainedBy
#: What is made of no other conditions, but for those of a query within.
Leaf = Plain | Texts | Places | Joined
Condition = Leaf | And | Or | Not

#: Fits nobody.
NOBODY = Or(())
