"""A campaign's run as a push: its audience as one clause, its contents in full. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pushsvc.campaigns.calendar import Time
from pushsvc.campaigns.definition import Content, Definition, Group
from pushsvc.campaigns.values import seconds_of
from pushsvc.errors import InvalidPushError
from pushsvc.model import (
    FrequencyCap,
    Json,
    Lane,
    Late,
    OnUnknown,
    PauseWhen,
    Rules,
    Schedule,
    Source,
    Submission,
    Variant,
)
from pushsvc.planning import localtime
from pushsvc.shaping import body, template
from pushsvc.shaping.body import ContentError

#: Without variants all who are not held out get the content.
ONLY: Final = "all"
_HUNDRED: Final = 100
#: Not negative in a bigint.
_SALT_BITS: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What the app has under the names that a definition uses."""

    #: name -> content
    templates: Mapping[str, Json] = field(default_factory=dict)
    #: object id or name -> where-clause
    audiences: Mapping[str, Json] = field(default_factory=dict)


def names_of_templates(definition: Definition) -> frozenset[str]:
    """Return the templates that it names."""
    contents = [definition.content, *(one.content for one in definition.variants)]
    return frozenset(one.template for one in contents if one and one.template)


def names_of_audiences(definition: Definition) -> frozenset[str]:
    """Return the saved audiences that it names."""
    groups = (definition.audience, definition.audience.exclude)
    return frozenset(one.audience for one in groups if one and one.audience)


# ---------------------------------------------------------------- who


def group_of(group: Group, stock: Stock) -> Json:
    """Return a group as the audience of a push."""
    if group.channels is not None:
        return {"channels": group.channels}
    if group.where is not None:
        return {"where": group.where}
    assert group.audience is not None
    return {"where": stock.audiences[group.audience]}


def audience_of(definition: Definition, stock: Stock) -> Json:
    """Return who is sent to, as the audience of a push: what is excluded is in its clause.

    A device that lacks a field which the exclusion asks for is not excluded (MongoDB's `$nor`).
    """
    wanted = group_of(definition.audience, stock)
    if definition.audience.exclude is None:
        return wanted
    clause = _clause(wanted)
    unwanted = _clause(group_of(definition.audience.exclude, stock))
    # Beside the clause's own keys, not around them: one on `deviceToken` counts at the top alone.
    return {"where": {**clause, "$nor": [*clause.get("$nor", []), unwanted]}}


def _clause(audience: Json) -> Json:
    if "channels" in audience:
        return {"channels": {"$in": audience["channels"]}}
    where: Json = audience["where"]
    return where


# ---------------------------------------------------------------- what


def variants_of(definition: Definition, stock: Stock) -> tuple[Variant, ...]:
    """Return the contents in full, each checked; none where there is but one and no holdout.

    Raises:
        InvalidPushError: what is wrong with one, and in which field.
    """
    if definition.variants:
        written = zip(definition.variants, contents(definition), strict=True)
        return tuple(
            _variant(one.name, one.weight, _filled(content, stock), at=at)
            for one, (at, content) in written
        )
    if not definition.holdout:
        return ()
    return (_variant(ONLY, _HUNDRED - definition.holdout, content_of(definition, stock), at=_BASE),)


def content_of(definition: Definition, stock: Stock) -> Json:
    """Return the content of the campaign itself, in full; of variants, the first one's."""
    _, content = contents(definition)[0]
    return _filled(content, stock)


_BASE: Final = "/content"


def contents(definition: Definition) -> Sequence[tuple[str, Json]]:
    """Return each content as it is written, with its place in the definition."""
    if not definition.variants:
        assert definition.content is not None
        return [(_BASE, definition.content.given())]
    return [
        (f"/variants/{place}/content", _laid(definition.content, one.content))
        for place, one in enumerate(definition.variants)
    ]


def _laid(base: Content | None, own: Content) -> dict[str, Any]:
    """Return a variant's content over the campaign's: a key replaces a key.

    A template of its own is meant to be seen, and data of the campaign's would hide it.
    """
    given, ours = own.given(), base.given() if base else {}
    if "template" in given and "data" not in given:
        ours.pop("data", None)
    return {**ours, **given}


def _filled(content: Json, stock: Stock) -> Json:
    """Return content with its template's, as a push that names one gets it."""
    content = content if "template" in content else {"data": {}, **content}
    name = content.get("template")
    return content if name is None else template.merged(stock.templates[name], content)


def _variant(name: str, weight: int, content: Json, *, at: str) -> Variant:
    check(content, at=at)
    return Variant(name=name, weight=weight, content=content, push_hash=body.push_hash(content))


def check(content: Json, *, at: str = _BASE) -> None:
    """Check content in full, which stands at this place of the definition.

    Raises:
        InvalidPushError: what is wrong with it.
    """
    try:
        body.check_content(content)
        body.badge_change(content)
    except ContentError as error:
        field = f"{at}{error.field}"
        raise InvalidPushError(f"{field}: {error.message}", field=field) from error


# ---------------------------------------------------------------- the run


def submission_of(definition: Definition, stock: Stock, *, salt: int) -> Submission:
    """Return the push of a run, but for its times.

    Raises:
        InvalidPushError: what is wrong with its content.
    """
    content = content_of(definition, stock)
    if not definition.variants:
        check(content)
    lane = Lane.URGENT if definition.priority == "urgent" else Lane.BULK
    return Submission(
        source=Source.V1,
        audience=audience_of(definition, stock),
        content=content,
        lane=lane,
        on_unknown=OnUnknown(definition.on_unknown),
        late=Late(definition.late),
        rate_per_minute=definition.rate_per_minute,
        rules=rules_of(definition, variants_of(definition, stock), salt=salt),
    )


def rules_of(definition: Definition, variants: tuple[Variant, ...], *, salt: int) -> Rules:
    """Return the rules of a run."""
    cap, pause = definition.cap, definition.pause_when
    return Rules(
        salt=salt,
        variants=variants,
        holdout=definition.holdout,
        quiet_hours=definition.quiet_hours.hours() if definition.quiet_hours else None,
        cap=FrequencyCap(count=cap.count, seconds=seconds_of(cap.per)) if cap else None,
        max_recipients=definition.max_recipients,
        pause_when=PauseWhen(**pause.model_dump()) if pause else None,
    )


def salt_of(object_id: str) -> int:
    """Return what makes a device's place among the variants the campaign's own."""
    digest = hashlib.blake2b(object_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> (64 - _SALT_BITS)


def confirmed(rules: Rules, recipients: int | None) -> Rules:
    """Return the rules with a limit that somebody has said yes to, where it is a larger one."""
    if rules.max_recipients is None or recipients is None:
        return rules
    return replace(rules, max_recipients=max(rules.max_recipients, recipients))


def schedule_of(
    time: Time, *, due_at: datetime, expiration_interval: int | None, zoneless: str | None
) -> Schedule:
    """Return the times of a run; in local time it ends when the last zone's has passed."""
    last = due_at if time.local is None else localtime.moments(time.local)[-1].at
    interval = expiration_interval
    return Schedule(
        due_at=due_at,
        expires_at=None if interval is None else last + timedelta(seconds=interval),
        push_time=time.push_time,
        expiration_interval=interval,
        local_time=time.local,
        zoneless=zoneless,
    )
