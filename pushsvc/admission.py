"""What a push must be to be stored: its form, its content, its audience, its times."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import orjson

from pushsvc.errors import (
    IdempotencyMismatchError,
    InvalidExpirationError,
    InvalidPushError,
    InvalidPushTimeError,
    InvalidQueryError,
    InvalidTemplateError,
)
from pushsvc.model import DEVICE_COUNT, App, Json, Schedule, Submission
from pushsvc.planning import localtime, schedule
from pushsvc.resources import Resources
from pushsvc.shaping import body, template
from pushsvc.storage import audiences, pushes, templates
from pushsvc.targeting import audience
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import audience_condition

#: As large as an object of Parse's may be.
QUERY_BYTES: Final = 131_072
#: Where content says what a tap opens, or is passed on as it is and may say so anywhere.
_FOR_SERVERS_ALONE: Final = (
    ("data", "uri"),
    ("notification", "click_action"),
    ("notification", "clickAction"),
    ("android",),
    ("webpush",),
    ("wns",),
    ("rawPayload",),
)


def check_form(submission: Submission) -> None:
    """Check what Parse Server checks, in its order: malformed times, then the badge.

    Raises:
        InvalidPushError: 115, in Parse Server's words.
    """
    with _TOLD:
        schedule.read_times(submission)
        if isinstance(submission.content.get("data"), dict):
            body.badge_change(submission.content)


async def admitted(
    resources: Resources, app: App, submission: Submission
) -> tuple[Submission, Schedule]:
    """Return the submission with its content and audience in full, and when it is due.

    Raises:
        CallerError: what is wrong with it, and in which field.
    """
    check_form(submission)
    submission = await with_template(resources, app, submission)
    _check_client(submission)
    with _TOLD:
        required = resources.settings.push_data_required
        body.check_content(submission.content, data_required=required)
    if submission.audience_id is not None and not submission.audience:
        where = await _saved(resources, app, submission.audience_id)
        submission = replace(submission, audience={"where": where})
    if not {"devices", DEVICE_COUNT} & submission.audience.keys():
        await check_audience(resources, submission.audience)
    return submission, when_due(resources, app, submission)


def when_due(
    resources: Resources, app: App, submission: Submission, *, stands: bool = False
) -> Schedule:
    """Return when a submission is due, by the settings and the database's time.

    `stands`: its `push_time` was let in before, and is not judged again.

    Raises:
        CallerError: what is wrong with its times, and in which field.
    """
    settings = resources.settings
    with _TOLD:
        return schedule.resolve(
            submission,
            now=resources.clock.now(),
            window=None if stands else timedelta(days=settings.push_time_window_days),
            zoneless=localtime.zone_for_zoneless(
                settings.zoneless_devices, app_zone=app.settings.time_zone
            ),
            late_after=timedelta(seconds=settings.late_after_seconds),
        )


async def replayed(resources: Resources, app: App, submission: Submission) -> pushes.Stored | None:
    """Return what the submission's idempotency key has stored before, if it has.

    Raises:
        IdempotencyMismatchError: that came with another body.
    """
    if submission.idempotency_key is None:
        return None
    async with resources.engine.connect() as connection:
        stored = await pushes.find_replay(connection, submission, app_id=app.id)
    return None if stored is None else matching(stored)


def matching(stored: pushes.Stored) -> pushes.Stored:
    """Return what was stored now or before.

    Raises:
        IdempotencyMismatchError: its key came before with another body.
    """
    if stored.mismatched:
        raise IdempotencyMismatchError(
            "The request's key (Idempotency-Key, X-Parse-Request-Id) came before with another "
            "body. Send another request under another key."
        )
    return stored


async def with_template(resources: Resources, app: App, submission: Submission) -> Submission:
    """Return the submission with the content of the template that it names, if it names one.

    Raises:
        InvalidPushError: there is no such template.
    """
    name = submission.content.get("template")
    if name is None:
        return submission
    found = None
    if isinstance(name, str):
        async with resources.engine.connect() as connection:
            found = await templates.find_template(connection, app_id=app.id, name=name)
    if found is None:
        message = (
            f"There is no template {str(name)[:100]}. GET /v1/templates lists those there are."
        )
        raise InvalidPushError(message, field="/template")
    return replace(submission, content=template.merged(found.content, submission.content))


async def put_template(
    resources: Resources, app: App, *, name: str, content: Json
) -> tuple[templates.Template, bool]:
    """Check a template and store it; tell whether there was none of that name.

    Raises:
        CallerError: what is wrong with it, and in which field.
    """
    if not templates.is_name(name):
        message = (
            "A template's name has 1 to 64 characters: letters A to Z, digits, _, - and .; and is "
            "neither . nor .., which no URL can name."
        )
        raise InvalidTemplateError(message, field="")
    try:
        body.check_content(content)
        used = template.variables_used(content)
    except body.ContentError as error:
        raise InvalidTemplateError(error.message, field=error.field) from error
    async with resources.engine.begin() as connection:
        return await templates.put_template(
            connection, app_id=app.id, name=name, content=content, variables_used=used
        )


def _check_client(submission: Submission) -> None:
    """Refuse a client's `uri`, as Parse's guide does, by whatever name and wherever it is from.

    Raises:
        InvalidPushError: 115.
    """
    for place in _FOR_SERVERS_ALONE if submission.from_client else ():
        found: Any = submission.content
        for key in place:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            message = (
                f"A push from a client cannot have a {place[-1]}. Send it with the master key."
            )
            raise InvalidPushError(message, field=f"/{'/'.join(place)}")


async def check_audience(resources: Resources, wanted: Json) -> None:
    """Check an audience of channels or of a where-clause as far as that goes without asking it.

    Raises:
        InvalidPushError: the query is too large.
        InvalidQueryError: it cannot be understood.
    """
    if "where" in wanted and len(orjson.dumps(wanted["where"])) > QUERY_BYTES:
        raise InvalidPushError("The query is larger than 128 KB.", field="/where")
    with _TOLD:
        condition = audience_condition(wanted, limits=resources.limits)
        await audience.check_patterns(resources.engine, condition)


def unknown_audience(object_id: str) -> InvalidPushError:
    """Return the error that says that there is no such saved audience."""
    message = f"audience_id: there is no audience {object_id[:100]}."
    return InvalidPushError(message, field="/audience_id")


async def _saved(resources: Resources, app: App, object_id: str) -> Any:
    async with resources.engine.connect() as connection:
        found = await audiences.find_audience(connection, app_id=app.id, object_id=object_id)
    if found is None:
        raise unknown_audience(object_id)
    return orjson.loads(found.query)


class _Told:
    """Turns what the stages refuse into what the caller is told."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, body.ContentError):
            raise InvalidPushError(error.message, field=error.field) from error
        if isinstance(error, WhereError):
            raise InvalidQueryError(
                error.message, field=error.field, parse_code=error.code
            ) from error
        if isinstance(error, schedule.ScheduleError):
            kind = {138: InvalidExpirationError, 152: InvalidPushTimeError}.get(
                error.parse_code, InvalidPushError
            )
            raise kind(error.message, field=error.field) from error


#: Every push passes three times: it has no state, and one is enough.
_TOLD: Final = _Told()
