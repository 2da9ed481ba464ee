"""One push's content in the form of each gateway, for each device at the price of a look-up."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property, partial
from typing import Generic, TypeVar

import orjson

from pushsvc.model import Device, Json, Push, Refused, Shape
from pushsvc.shaping import limits
from pushsvc.shaping.badge import badge_change
from pushsvc.shaping.check import check_content
from pushsvc.shaping.content import Choice, Content, Envelope
from pushsvc.shaping.drafts import BADGED, BLOCKS, DRAFTERS, TRAITS, Draft
from pushsvc.shaping.fault import ContentError
from pushsvc.shaping.forms import Form, form_of, gateway_of, kinds_of, parties_of
from pushsvc.shaping.splice import Texts
from pushsvc.shaping.truncate import shortened, shortest

__all__ = [
    "ContentError",
    "Envelope",
    "Form",
    "Shaper",
    "badge_change",
    "check_content",
    "form_of",
    "gateway_of",
    "parties_of",
    "push_hash",
]

#: texts, trait and badge
_Key = tuple[Choice, str | None, int | None]
_Drafted = Draft | Refused
_NO_TEXTS: Texts = ()
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


def push_hash(content: Json) -> str:
    """Return Parse's pushHash: MD5 of the alert's text, of the JSON of an object or null.

    Without an alert, and where it is neither, it is that of nothing (Parse Server's rule).
    """
    alert = content["data"].get("alert", "")
    if isinstance(alert, str):
        text = alert.encode()
    else:
        text = orjson.dumps(alert) if alert is None or isinstance(alert, dict | list) else b""
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


_Shape = Callable[[Device], Shape | Refused]


class _Memo(dict[KeyT, ValueT], Generic[KeyT, ValueT]):
    """What was made for each key. Full, it forgets everything: all of it is cheap to make again."""

    def __init__(self, make: Callable[[KeyT], ValueT], limit: int) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, key: KeyT) -> ValueT:
        if len(self) >= self._limit:
            self.clear()
        made = self[key] = self._make(key)
        return made


class Shaper:
    """The messages of one push, each made once for all devices that share it.

    Devices share a message when they share form, app, texts and badge. A device's locale is mapped
    to the texts that the content has before it is a key, so locales that make no difference cost
    no memory; a badge, and texts with variables, are spliced into a body that is otherwise
    finished.

    The time to live of FCM and WNS is counted from `envelope.now`: make a new one for each batch.
    Content must have passed `check_content`.
    """

    def __init__(self, content: Json, envelope: Envelope) -> None:
        try:
            self.content = Content.of(content)
        except ContentError:
            # Let in before there were variables: what it says is what it was to say.
            self.content = Content.of(content, is_literal=True)
        self._given = content
        looks_only = bool(content.get("validate_only"))
        self._envelope = replace(envelope, validate_only=True) if looks_only else envelope
        self._truncates = bool(content.get("truncate"))

    @cached_property
    def _choices(self) -> _Memo[str | None, Choice]:
        return _Memo(self.content.choose, limits.KEPT_LOCALES)

    @cached_property
    def _forms(self) -> _Memo[Form, tuple[_Shape, _Shape]]:
        """What shapes and outlines each form, made when first asked for: of most pushes few are."""
        return _Memo(self._of_form, len(DRAFTERS))

    @classmethod
    def of(cls, push: Push, *, now: datetime) -> "Shaper":
        """Return the shaper of a stored push."""
        envelope = Envelope(
            push_id=push.id,
            push_object_id=push.object_id,
            created_at=push.created_at,
            expires_at=push.expires_at,
            now=now,
        )
        return cls(push.content, envelope)

    def weighing(self) -> "Shaper":
        """Return a shaper of the same push whose messages may be too large: to tell their size."""
        return Shaper(self._given, replace(self._envelope, is_weighed=True))

    @property
    def fields(self) -> frozenset[str]:
        """The fields of an installation that the texts look at."""
        return self.content.variables.names

    @property
    def kinds_of(self) -> Callable[[Sequence[Device]], Iterable[Hashable]] | None:
        """What tells which devices have the same message; None where texts have variables."""
        return None if self.content.variables else kinds_of

    def shape(self, device: Device) -> Shape | Refused:
        """Return what to send to a device.

        Its badge is its own after the push's change, and only looked at where the content says
        "Increment"; its fields only where the texts have variables.
        """
        form = form_of(device)
        return self._forms[form][0](device) if isinstance(form, Form) else form

    def shape_one(self, device: Device) -> Shape | Refused:
        """Return the same, and keep nothing of it: where few devices get the push, that is less."""
        form = form_of(device)
        if not isinstance(form, Form):
            return form
        choice, variables = self.content.choose(device.locale), self.content.variables
        draft, texts = self._draft(form, choice), _NO_TEXTS
        if variables:
            filled = variables.render(device.fields, self._needs(form, choice, draft))
            if isinstance(filled, Refused):
                return filled
            texts = filled
        counts = form in BADGED and self.content.counts_badges
        key = choice, TRAITS.get(form, _no_trait)(device), device.badge if counts else None
        return self._finish(form, draft, key, texts=texts)

    def outline(self, device: Device) -> Shape | Refused:
        """Return a message like the device's own, its fields not known.

        What is refused so is refused whatever the device has in them.
        """
        form = form_of(device)
        return self._forms[form][1](device) if isinstance(form, Form) else form

    def _of_form(self, form: Form) -> tuple[_Shape, _Shape]:
        """Return what shapes and what outlines the messages of this form."""
        choices, trait_of = self._choices, TRAITS.get(form, _no_trait)
        counts, variables = form in BADGED and self.content.counts_badges, self.content.variables
        drafts = _Memo(partial(self._draft, form), limits.KEPT_DRAFTS)

        def finish(key: _Key, texts: Texts = _NO_TEXTS) -> Shape | Refused:
            return self._finish(form, drafts[key[0]], key, texts=texts)

        finished = _Memo(finish, limits.KEPT_SHAPES)

        def key_of(device: Device) -> _Key:
            return choices[device.locale], trait_of(device), device.badge if counts else None

        def needed(choice: Choice) -> tuple[int, ...]:
            return self._needs(form, choice, drafts[choice])

        needs = _Memo(needed, limits.KEPT_DRAFTS)

        def fill(device: Device) -> Shape | Refused:
            key = key_of(device)
            texts = variables.render(device.fields, needs[key[0]])
            return texts if isinstance(texts, Refused) else finish(key, texts)

        outlined = _Memo(partial(self._outline, form, drafts), limits.KEPT_SHAPES)
        shape = fill if variables else lambda device: finished[key_of(device)]
        return shape, lambda device: outlined[key_of(device)]

    def _draft(self, form: Form, choice: Choice) -> Draft | Refused:
        content = self.content.localised(choice)
        if not content.says(BLOCKS[form]):
            return limits.PAYLOAD_EMPTY
        return DRAFTERS[form](content, self._envelope)

    def _needs(self, form: Form, choice: Choice, draft: Draft | Refused) -> tuple[int, ...]:
        """Return which texts with variables to fill: those that stand in the message.

        One that is too large as it is may fit when its alert is shortened, and needs the others:
        an alert with variables weighs nothing yet, and is not what makes it so.
        """
        if not isinstance(draft, Refused):
            return draft.needs
        if draft is not limits.TOO_LARGE or not self._truncates:
            return ()
        bare = DRAFTERS[form](shortest(self.content.localised(choice)), self._envelope)
        return () if isinstance(bare, Refused) else bare.needs

    def _finish(self, form: Form, draft: _Drafted, key: _Key, *, texts: Texts) -> Shape | Refused:
        made = _finished(draft, key, texts)
        too_large = made is limits.TOO_LARGE and self._truncates
        return self._shortened(form, key, texts) if too_large else made

    def _shortened(self, form: Form, key: _Key, texts: Texts) -> Shape | Refused:
        def attempt(content: Content) -> Shape | Refused:
            return _finished(DRAFTERS[form](content, self._envelope), key, texts)

        return shortened(self.content.localised(key[0]), texts, attempt)

    def _outline(self, form: Form, drafts: Mapping[Choice, _Drafted], key: _Key) -> Shape | Refused:
        draft = drafts[key[0]]
        made = _finished(draft, key, self.content.variables.of_one(""))
        if made is limits.TOO_LARGE and self._truncates:
            draft = DRAFTERS[form](shortest(self.content.localised(key[0])), self._envelope)
            made = _finished(draft, key, self.content.variables.of_one(""))
        if made is limits.PAYLOAD_EMPTY:
            # Of nothing but texts that are empty as yet.
            made = _finished(draft, key, self.content.variables.of_one("-"))
        return made


def _finished(draft: _Drafted, key: _Key, texts: Texts) -> Shape | Refused:
    _, trait, badge = key
    return draft if isinstance(draft, Refused) else draft.finish(trait, badge, texts)


def _no_trait(_device: Device) -> None:
    return None
