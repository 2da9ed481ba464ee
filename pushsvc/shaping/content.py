"""A push's content as the gateways' shapers read it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, Self

from pushsvc.model import BadgeChange, Json
from pushsvc.shaping import limits
from pushsvc.shaping.badge import badge_change
from pushsvc.shaping.fault import ContentError
from pushsvc.shaping.language import VariableError
from pushsvc.shaping.locale import fallbacks, locales_of, tag_of
from pushsvc.shaping.values import as_integer
from pushsvc.shaping.variables import Variables

#: Keys of `data` that may come once for each locale: `alert`, `alert-fr`, `alert-fr-CA`.
LOCALISED: Final = ("alert", "title")
#: Other names of keys that steer, those of Apple's headers in Parse's push adapter.
STEERING_ALIASES: Final[Mapping[str, str]] = {
    "collapse_id": "collapseId",
    "push_type": "pushType",
}
#: Keys that steer the delivery; they stand in `data` or beside it, and are not part of a payload.
STEERING: Final = frozenset(
    {
        *("collapse_id", "expiration_interval", "expiration_time", "priority", "push_type"),
        *STEERING_ALIASES.values(),
    }
)
#: Keys beside `data` whose texts may hold variables, as those in `data` may.
FILLED_IN: Final = frozenset({"notification", "rawPayload", "android", "webpush", "wns"})
#: All keys that shape a message from beside `data`.
SHAPING_KEYS: Final = (
    *("notification", "rawPayload", "android", "webpush", "wns", "collapse_id", "push_type"),
    *("priority", "truncate", "template", "variables", "validate_only"),
)
#: What only Apple devices understand; Parse leaves it out of what Android devices get.
APPLE_ONLY: Final = frozenset({"badge", "content-available", "mutable-content"})

#: For each key of LOCALISED the tag whose text is taken; None for the text without a tag.
Choice = tuple[str | None, ...]
_PLAIN: Final[Choice] = (None,) * len(LOCALISED)


def shaping_of(body: Json) -> dict[str, Any]:
    """Return what of a push in Parse's form shapes its messages; a null `data` is an empty one."""
    data = body.get("data")
    shaping = {key: body[key] for key in SHAPING_KEYS if key in body}
    return {"data": {} if data is None else data, **shaping}


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What of a push goes into its messages besides its content."""

    push_id: int
    push_object_id: str
    created_at: datetime
    expires_at: datetime | None
    now: datetime
    #: for the gateways to look at and not to deliver
    validate_only: bool = False
    #: a message may be larger than its gateway takes: it is made to be weighed
    is_weighed: bool = False

    def most_bytes(self, limit: int) -> int:
        """Return how large a message may be whose gateway takes so much."""
        return limits.WEIGHED_BYTES if self.is_weighed else limit

    @property
    def ttl_seconds(self) -> int | None:
        """Whole seconds to live from `now`, never below 0; None for a push without expiry."""
        if self.expires_at is None:
            return None
        return max(0, int((self.expires_at - self.now).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Content that `check_content` let pass, its locale variants set apart.

    Texts with variables are marks in it; `variables` fills them.
    """

    #: the push's `data` without locale variants
    data: Json
    #: the keys beside `data`
    beside: Json
    #: key of LOCALISED -> tag -> text
    variants: Mapping[str, Mapping[str, Any]]
    badge: BadgeChange | None
    variables: Variables

    @classmethod
    def of(cls, content: Json, *, is_literal: bool = False) -> Self:
        """Set the locale variants apart, and mark the texts with variables unless it has none.

        Raises:
            ContentError: the badge or a text with variables is not to be understood.
        """
        variables = Variables.of(content.get("variables") or {})

        def marked(place: str, key: str, value: Any) -> Any:
            return value if is_literal else _marked(place + key, value, variables)

        beside = {
            key: marked("/", key, value) if key in FILLED_IN else value
            for key, value in content.items()
        }
        variants: dict[str, dict[str, Any]] = {name: {} for name in LOCALISED}
        data = {}
        for key, given in content["data"].items():
            value = given
            if key not in STEERING:
                value = marked("/data/", key, given)
            name, _, suffix = key.partition("-")
            tag = tag_of(suffix) if suffix and name in variants and _is_text(value, name) else None
            if tag is None:
                data[key] = value
            elif value:
                # An empty variant counts for nothing, as in Parse Server.
                variants[name][tag] = value
        return cls(
            data=data,
            beside=beside,
            variants=variants,
            badge=badge_change(content),
            variables=variables,
        )

    @property
    def counts_badges(self) -> bool:
        """Tell whether each device's message has the device's own badge."""
        return self.badge is not None and self.badge.increment is not None

    def says(self, blocks: Collection[str]) -> bool:
        """Tell whether there is something in it for a form with these keys of its own."""
        if self.data:
            return True
        has = [key for key in FILLED_IN if self.beside.get(key)]
        return not has or any(key in blocks for key in has)

    def option(self, name: str) -> Any:
        """Return a key of STEERING: by its other name, else as it stands beside `data`, or within.

        In that order, as in Parse's push adapter; what JavaScript calls false is not given.
        """
        alias = STEERING_ALIASES.get(name)
        aliased = self.data.get(alias) if alias else None
        return as_integer(aliased or self.beside.get(name) or self.data.get(name) or None)

    def custom(self, taken: Collection[str]) -> dict[str, Any]:
        """Return the keys of `data` that neither steer nor are among those taken."""
        return {
            key: value
            for key, value in self.data.items()
            if key not in STEERING and key not in taken
        }

    def choose(self, locale: str | None) -> Choice:
        """Return which texts a device of this locale gets: for each, the longest tag that fits."""
        if not any(self.variants.values()):
            return _PLAIN
        tags = fallbacks(locale)
        return tuple(
            next((tag for tag in tags if tag in self.variants[name]), None) for name in LOCALISED
        )

    def choices(self) -> list[Choice]:
        """Return the choices of texts that devices can get, the one without a locale first."""
        tags = dict.fromkeys(tag for by_tag in self.variants.values() for tag in by_tag)
        locales = islice(locales_of(tags), limits.CHOICES)
        return list(dict.fromkeys(self.choose(locale) for locale in (None, *locales)))

    def localised(self, choice: Choice) -> Self:
        """Return the content with the chosen texts in their places, and no other variants."""
        if not any(self.variants.values()):
            return self
        chosen = {
            name: self.variants[name][tag]
            for name, tag in zip(LOCALISED, choice, strict=True)
            if tag is not None
        }
        return replace(
            self, data={**self.data, **chosen}, variants={name: {} for name in LOCALISED}
        )


def _marked(field: str, value: Any, variables: Variables) -> Any:
    try:
        return variables.marked(value)
    except VariableError as error:
        raise ContentError(field=field, message=str(error)) from error


def _is_text(value: Any, name: str) -> bool:
    """Tell a text from a custom key that only looks like a variant, `alert-id: 5` say."""
    return isinstance(value, str) or (name == "alert" and isinstance(value, dict))
