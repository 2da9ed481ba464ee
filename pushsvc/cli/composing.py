"""A push as options and a file say it: the body that the API would be sent, built in one place."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
import typer

from pushsvc.api.v1.bodies import AUDIENCES, parse_new_push
from pushsvc.api.v1.submissions import submission_of
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.files import as_typed, object_in, object_of
from pushsvc.errors import CallerError, InvalidRequestError
from pushsvc.model import Submission

ReturnT = TypeVar("ReturnT")

#: Where the API finds what an option says; `--data` says whatever of it no other option does.
_OPTIONS: Final[Mapping[str, str]] = {
    "/push_time": "at",
    "/late": "late",
    "/expiration_interval": "expires_in",
    "/rate_per_minute": "rate_per_minute",
    "/data/alert": "alert",
    "/data/title": "title",
    "/data/badge": "badge",
    "/data/sound": "sound",
    "/data": "data",
    "/template": "template",
    "/variables": "var",
    "/channels": "channel",
    "/where": "where",
    "/devices": "device",
}

#: Room for as many explicit devices as a push may name.
FILE_MEGABYTES: Final = 16

File = Annotated[
    Path | None,
    typer.Option(
        help="A file with the body as the API takes it, in JSON; options win. - is stdin."
    ),
]
Channel = Annotated[
    list[str] | None, typer.Option(help="To all devices in this channel; repeat for more.")
]
Where = Annotated[
    str | None, typer.Option(help="To the installations that fulfil this query, in JSON.")
]
Device = Annotated[list[str] | None, typer.Option(help="To this installation id; repeat for more.")]
Alert = Annotated[str | None, typer.Option(help="The text.")]
Title = Annotated[str | None, typer.Option(help="The title.")]
Badge = Annotated[str | None, typer.Option(help="A number, or Increment.")]
Sound = Annotated[str | None, typer.Option(help="Name of a sound in the app.")]
Data = Annotated[str | None, typer.Option(help="A JSON object with more keys, custom ones too.")]
Template = Annotated[str | None, typer.Option(help="A stored template, for what is not said here.")]
Var = Annotated[
    list[str] | None,
    typer.Option(help="A variable of the texts, NAME=VALUE, in JSON or as text; repeatable."),
]
Truncate = Annotated[
    bool, typer.Option("--truncate", help="Shorten the alert where a message would be too large.")
]
At = Annotated[
    str | None,
    typer.Option(
        help="When, in ISO 8601: 2026-12-24T18:00:00Z; without Z or offset by the devices' clocks."
    ),
]
Late = Annotated[
    Literal["send", "skip"] | None,
    typer.Option(help="What to do with what is late, such as zones whose time is past."),
]
ExpiresIn = Annotated[float | None, typer.Option(help="Seconds after which it is no longer sent.")]
RatePerMinute = Annotated[int | None, typer.Option(help="To at most so many devices a minute.")]


def body(
    *,
    file: File = None,
    channel: Channel = None,
    where: Where = None,
    device: Device = None,
    alert: Alert = None,
    title: Title = None,
    badge: Badge = None,
    sound: Sound = None,
    data: Data = None,
    template: Template = None,
    var: Var = None,
    truncate: Truncate = False,
    at: At = None,
    late: Late = None,
    expires_in: ExpiresIn = None,
    rate_per_minute: RatePerMinute = None,
) -> dict[str, Any]:
    """Return the body of a push; what an option says wins over the file.

    Raises:
        CommandError: an option, or the file, is not to be understood.
    """
    found = {} if file is None else object_in(file, field="--file", most_megabytes=FILE_MEGABYTES)
    to_whom = _audience(channel, where, device, is_said=not found.keys().isdisjoint(AUDIENCES))
    if to_whom:
        found = {key: value for key, value in found.items() if key not in AUDIENCES}
    if expires_in is not None:
        found.pop("expiration_time", None)
    short = {"alert": alert, "title": title, "badge": _badge(badge), "sound": sound}
    given = {
        "template": template,
        "truncate": truncate or None,
        "push_time": at,
        "late": late,
        "expiration_interval": expires_in,
        "rate_per_minute": rate_per_minute,
    }
    return {
        **found,
        **to_whom,
        **_given(given),
        **_merged(found, "data", _object("--data", data) | _given(short), always=True),
        **_merged(found, "variables", _variables(var)),
    }


def of_a_push(command: Callable[..., ReturnT]) -> Callable[..., ReturnT]:
    """Give a command the options of `body` after its first own, and the body in their place.

    The body is the command's only parameter without a name.
    """
    options = inspect.signature(body).parameters
    _, first, *others = inspect.signature(command).parameters.values()

    @wraps(command)
    def asked(**given: Any) -> ReturnT:
        said = {name: given.pop(name) for name in options}
        try:
            return command(body(**said), **given)
        except CallerError as error:
            used = {
                pointer: name for pointer, name in _OPTIONS.items() if said[name] not in (None, [])
            }
            raise by_option(error, used) from error

    whole = (first, *options.values(), *others)
    vars(asked)["__signature__"] = inspect.Signature(whole)
    asked.__annotations__ = {one.name: one.annotation for one in whole}
    return asked


def by_option(error: CallerError, options: Mapping[str, str]) -> CommandError | CallerError:
    """Return the error under the name of the option that it is of, if there is one.

    `options` are those that were given, by where the API finds what they say.
    """
    field = error.field or ""
    if isinstance(error, InvalidRequestError):
        field = error.faults[0].pointer
    for pointer, name in options.items():
        if field == pointer or field.startswith(f"{pointer}/"):
            option = f"--{name.replace('_', '-')}"
            message = f"{option}: {error.detail.removeprefix(f'{field}: ')}"
            return CommandError(message, code=error.code, status=MISTAKE, field=option)
    return error


def submission(asked: dict[str, Any], *, devices_limit: int) -> Submission:
    """Return the push after the checks that one through the API has.

    Raises:
        CallerError: what the API would answer.
    """
    return submission_of(parse_new_push(asked, devices_limit=devices_limit))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _merged(
    found: dict[str, Any], name: str, given: dict[str, Any], *, always: bool = False
) -> dict[str, Any]:
    """Return a key of the body with what the options say of it laid over what the file says."""
    there = found.get(name)
    if not given and (there is not None or not always):
        return {}
    return {name: {**there, **given} if isinstance(there, dict) else given}


def _audience(
    channels: list[str] | None, where: str | None, devices: list[str] | None, *, is_said: bool
) -> dict[str, Any]:
    """Return the audience that was asked for; none where the file says it.

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
    if len(given) > 1 or not (given or is_said):
        message = "Say to whom, in one way: --channel, --where or --device."
        raise CommandError(message, code="usage", status=MISTAKE, field="--channel")
    return given


def _object(option: str, text: str | None) -> dict[str, Any]:
    """Read an option's JSON object; an empty one where it is not given."""
    return object_of(as_typed(text or "{}"), place=option, field=option)


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
            read[name] = orjson.loads(as_typed(value))
        except orjson.JSONDecodeError:
            read[name] = value
    return read


def _badge(text: str | None) -> int | str | None:
    """Read a badge: a number, or a word that submit_push judges."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        return text
