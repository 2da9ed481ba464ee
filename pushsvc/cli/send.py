"""`pushsvc send`: a push from the command line, by the same way as one from the API."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer

from pushsvc import pipeline
from pushsvc.api.v1 import views
from pushsvc.api.v1.bodies import AUDIENCES, content_of, parse_new_push
from pushsvc.cli import session, watching
from pushsvc.cli.display import cell, result
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import AppName, Json
from pushsvc.cli.push import follow
from pushsvc.model import Counts, Lane, Outcome, Push, PushState, Source, Submission
from pushsvc.resources import Resources
from pushsvc.stats import tally

app = typer.Typer(add_completion=False)


@app.command()
def send(
    *,
    app_name: AppName,
    channel: Annotated[
        list[str] | None, typer.Option(help="To all devices in this channel; repeat for more.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="To the installations that fulfil this query, in JSON.")
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="To this installation id; repeat for more.")
    ] = None,
    alert: Annotated[str | None, typer.Option(help="The text.")] = None,
    title: Annotated[str | None, typer.Option(help="The title.")] = None,
    badge: Annotated[str | None, typer.Option(help="A number, or Increment.")] = None,
    sound: Annotated[str | None, typer.Option(help="Name of a sound in the app.")] = None,
    data: Annotated[
        str | None, typer.Option(help="A JSON object with more keys, custom ones too.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="A stored template, for what is not said here.")
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(help="A variable of the texts, NAME=VALUE, in JSON or as text; repeatable."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When, in ISO 8601 with a zone: 2026-12-24T18:00:00Z.")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(help="Seconds after which it is no longer sent.")
    ] = None,
    urgent: Annotated[
        bool, typer.Option("--urgent", help="Ahead of pushes to large audiences.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Watch it until every device has its outcome.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Send a push to channels, to a query, or to devices."""
    short = {"alert": alert, "title": title, "badge": _badge(badge), "sound": sound}
    body = {
        **_audience(channel, where, device),
        "data": _object("--data", data) | {k: v for k, v in short.items() if v is not None},
        "template": template,
        "variables": _variables(var) or None,
        "push_time": at,
        "expiration_interval": expires_in,
        "priority": "urgent" if urgent else None,
    }

    async def work(resources: Resources) -> tuple[Push, Counts, int]:
        async with resources.engine.connect() as connection:
            owner = await session.app(connection, app_name)
        limit = resources.settings.explicit_devices_limit
        submission = _submission(body, devices_limit=limit)
        stored = await pipeline.submit_push(resources, owner, submission)
        if wait:
            return await follow(resources, stored.push.object_id, as_json=as_json)
        return stored.push, {}, 0

    push, counts, opens = session.run(work)
    told = f"Push {push.object_id} is stored; it is due at {cell(push.due_at)}."
    shown = watching.shown(push, counts, opens) if wait else [told]
    result({"push": views.shown(push, counts, opens=opens)}, *shown, as_json=as_json)
    return int(push.state is PushState.FAILED or (wait and _reached_nobody(counts)))


def _reached_nobody(counts: Counts) -> bool:
    """Tell whether there were devices, and not one got it."""
    outcomes = tally.by_outcome(tally.total(counts))
    return any(outcomes.values()) and not outcomes[Outcome.SENT]


def _submission(body: Mapping[str, Any], *, devices_limit: int) -> Submission:
    """Return the push after the checks that one through the API has.

    Raises:
        CallerError: what the API would answer.
    """
    asked = parse_new_push(dict(body), devices_limit=devices_limit)
    return Submission(
        source=Source.V1,
        audience={name: body[name] for name in AUDIENCES if name in body},
        content=content_of(asked),
        push_time=asked.push_time,
        expiration_interval=asked.expiration_interval,
        lane=Lane.URGENT if asked.priority else None,
    )


def _audience(
    channels: list[str] | None, where: str | None, devices: list[str] | None
) -> dict[str, Any]:
    """Return the audience that was asked for.

    Raises:
        CommandError: it was asked for in no way, or in several.
    """
    given: dict[str, Any] = {}
    if channels:
        given["channels"] = channels
    if where is not None:
        given["where"] = _object("--where", where)
    if devices:
        # They are stored in lower case.
        given["devices"] = [{"installation_id": one.lower()} for one in devices]
    if len(given) != 1:
        message = "Say to whom, in one way: --channel, --where or --device."
        raise CommandError(message, code="usage", status=MISTAKE, field="--channel")
    return given


def _object(option: str, text: str | None) -> dict[str, Any]:
    """Read an option's JSON object; an empty one where it is not given.

    Raises:
        CommandError: it is not JSON, or not an object.
    """
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        message = f"{option}: not JSON: {error}."
        raise CommandError(message, code="usage", status=MISTAKE, field=option) from error
    if not isinstance(value, dict):
        message = f'{option}: must be a JSON object, such as {{"key": "value"}}.'
        raise CommandError(message, code="usage", status=MISTAKE, field=option)
    return value


def _variables(given: list[str] | None) -> dict[str, Any]:
    """Read variables: a value is JSON, or text where it is none.

    Raises:
        CommandError: there is no name, or no value.
    """
    read: dict[str, Any] = {}
    for one in given or ():
        name, sign, value = one.partition("=")
        if not name or not sign:
            message = f"--var: {one!r} is not NAME=VALUE."
            raise CommandError(message, code="usage", status=MISTAKE, field="--var")
        try:
            read[name] = json.loads(value, parse_constant=_no_json)
        except (ValueError, RecursionError):
            read[name] = value
    return read


def _no_json(constant: str) -> NoReturn:
    """Refuse what Python takes for a number: NaN, Infinity."""
    raise ValueError(constant)


def _badge(text: str | None) -> int | str | None:
    """Read a badge: a number, or a word that submit_push judges."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        return text
