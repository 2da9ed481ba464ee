"""A push's content as the gateways' shapers read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from pushsvc.model import Json
from pushsvc.shaping.locale import fallbacks, tag_of

#: Keys of `data` that may come once for each locale: `alert`, `alert-fr`, `alert-fr-CA`.
LOCALISED: Final = ("alert", "title")
#: Keys that steer the delivery; they stand in `data` or beside it, and are not part of a payload.
STEERING: Final = frozenset(
    {"collapse_id", "expiration_interval", "expiration_time", "priority", "push_type"}
)
#: What only Apple devices understand; Parse leaves it out of what Android devices get.
APPLE_ONLY: Final = frozenset({"badge", "content-available", "mutable-content"})

#: For each key of LOCALISED the tag whose text is taken; None for the text without a tag.
Choice = tuple[str | None, ...]


class ContentError(Exception):
    """The content of a push cannot be sent; `message` says why, `field` is a JSON pointer."""

    def __init__(self, *, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What of a push goes into its messages besides its content."""

    push_id: int
    push_object_id: str
    created_at: datetime
    expires_at: datetime | None
    now: datetime

    @property
    def ttl_seconds(self) -> int | None:
        """Whole seconds to live from `now`, never below 0; None for a push without expiry."""
        if self.expires_at is None:
            return None
        return max(0, int((self.expires_at - self.now).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Content that `check_content` let pass, its locale variants set apart."""

    #: the push's `data` without locale variants
    data: Json
    #: the keys beside `data`
    beside: Json
    #: key of LOCALISED -> tag -> text
    variants: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, content: Json) -> Self:
        """Set the locale variants of the content apart."""
        variants: dict[str, dict[str, Any]] = {name: {} for name in LOCALISED}
        data = {}
        for key, value in content["data"].items():
            name, _, suffix = key.partition("-")
            tag = tag_of(suffix) if name in variants and _is_text(value, name) else None
            if tag is None:
                data[key] = value
            elif value:
                # An empty variant counts for nothing, as in Parse Server.
                variants[name][tag] = value
        return cls(data=data, beside=content, variants=variants)

    def option(self, name: str) -> Any:
        """Return a key of STEERING; beside `data` it wins over within."""
        return self.beside.get(name) or self.data.get(name)

    def choose(self, locale: str | None) -> Choice:
        """Return which texts a device of this locale gets: for each, the longest tag that fits."""
        tags = fallbacks(locale)
        return tuple(
            next((tag for tag in tags if tag in self.variants[name]), None) for name in LOCALISED
        )

    def localised(self, choice: Choice) -> dict[str, Any]:
        """Return `data` with the chosen texts in their places."""
        chosen = {
            name: self.variants[name][tag]
            for name, tag in zip(LOCALISED, choice, strict=True)
            if tag is not None
        }
        return {**self.data, **chosen}


def _is_text(value: Any, name: str) -> bool:
    """Tell a text from a custom key that only looks like a variant, `alert-id: 5` say."""
    return isinstance(value, str) or (name == "alert" and isinstance(value, dict))
