"""`pushsvc push explain` and `push outcomes`: what came of the devices of a push, one by one."""

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, Final

import orjson
import typer
from rich.console import RenderableType

from pushsvc.api.v1.review_views import explained, outcome_shown
from pushsvc.api.v1.reviews import CLASSES, classes_of
from pushsvc.cli import session, watching
from pushsvc.cli.display import progress, result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.lines import opened
from pushsvc.cli.options import Json, PushId
from pushsvc.errors import InvalidRequestError
from pushsvc.model import Outcome, OutcomeClass, Push
from pushsvc.resources import Resources
from pushsvc.review import outcomes as review
from pushsvc.review.explain import explain as explanation_of
from pushsvc.stats import tally
from pushsvc.storage import pushes

#: Without a limit.
SHOWN: Final = 20
#: Keys of a row for people -> heading.
_COLUMNS: Final[Mapping[str, str]] = {
    "device_type": "platform",
    "outcome": "outcome",
    "class": "class",
    "reason": "reason",
    "attempt": "attempt",
}
_ATTEMPTS: Final = ("attempt", "due_at", "finished_at", "class", "reason")
#: Of the device.
_TIMES: Final = (
    "token_set_at",
    "token_retired_at",
    "token_quarantined_until",
    "created_at",
    "updated_at",
)


def explain(
    push_id: PushId,
    device: Annotated[
        str,
        typer.Argument(help="An objectId, an installationId or, of an explicit device, its token."),
    ],
    *,
    as_json: Json = False,
) -> None:
    """Tell why a device got a push or did not: its attempts, or why it is in none."""

    async def work(resources: Resources) -> dict[str, Any]:
        async with resources.engine.connect() as connection:
            push = await watching.find_push(connection, push_id)
        return explained(await explanation_of(resources, push, device))

    found = session.run(work)
    result({"explanation": found}, *_told(found), as_json=as_json)


def outcomes(
    push_id: PushId,
    *,
    class_: Annotated[
        str | None, typer.Option("--class", help=f"Only one of: {', '.join(CLASSES)}.")
    ] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only devices that ended so.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="How many to show.", show_default=str(SHOWN)),
    ] = None,
    ndjson: Annotated[
        Path | None,
        typer.Option(help="Write all of them to this file, one in JSON on each line; - is stdout."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what came of each device of a push, or write all of it to a file."""
    classes = _classes(class_, outcome)
    if ndjson is None:
        _show(push_id, classes, limit=limit or SHOWN, as_json=as_json)
    elif limit is not None:
        message = "--limit: With --ndjson all of them are written. Leave it out."
        raise CommandError(message, code="usage", status=MISTAKE, field="--limit")
    else:
        _export(push_id, classes, to=ndjson, as_json=as_json)


# ---------------------------------------------------------------- one device


def _told(found: Mapping[str, Any]) -> list[RenderableType]:
    """Return the story first, then what it is made of."""
    device = found["device"]
    facts = [
        ("targeted", {True: "yes", False: "no", None: "not known yet"}[found["targeted"]]),
        ("why not", found["why"]),
        ("matches now", {True: "yes", False: "no", None: None}[found["matches_now"]]),
        ("outcome", found["outcome"]),
        ("class", found["class"]),
        ("reason", found["reason"]),
        ("possible duplicate", "yes" if found["possible_duplicate"] else None),
        ("duplicate of", found["duplicate_of"]),
        ("apns-id", found["apns_id"]),
        ("zone", _last(found, "zone")),
        ("variant", _last(found, "variant")),
        ("installation", device["installation"]),
        ("installation id", device["installation_id"]),
        ("platform", device["device_type"]),
        ("gateway", device["gateway"]),
        ("token", device["token_state"]),
        ("token's end", device["token_end"]),
        *(
            (name.removesuffix("_at").replace("_", " "), _cell(name, device[name]))
            for name in _TIMES
        ),
    ]
    rows = [fact for fact in facts if fact[1] is not None]
    shown: list[RenderableType] = [found["detail"], table(("", "device"), rows)]
    if found["attempts"]:
        attempts = [[_cell(name, one[name]) for name in _ATTEMPTS] for one in found["attempts"]]
        shown.append(table([name.removesuffix("_at") for name in _ATTEMPTS], attempts))
    return shown


def _last(found: Mapping[str, Any], name: str) -> str | None:
    """Return what its last batch is of; None where that is nothing."""
    return (found["attempts"][-1][name] or None) if found["attempts"] else None


def _cell(name: str, value: Any) -> object:
    """Return a value for a table, whose times are shown to the second."""
    return datetime.fromisoformat(value) if value and name.endswith("_at") else value


# ---------------------------------------------------------------- all devices


def _classes(name: str | None, outcome: Outcome | None) -> Collection[OutcomeClass]:
    """Return the classes to show.

    Raises:
        CommandError: there is no such class, or it has another outcome.
    """
    try:
        return classes_of(name, outcome)
    except InvalidRequestError as error:
        (fault,) = error.faults
        message, field = f"--{fault.detail}", f"--{fault.pointer.removeprefix('?')}"
        raise CommandError(message, code="usage", status=MISTAKE, field=field) from error


def _show(push_id: str, classes: Collection[OutcomeClass], *, limit: int, as_json: bool) -> None:
    async def work(resources: Resources) -> list[dict[str, Any]]:
        async with resources.engine.connect() as connection:
            push = await watching.find_push(connection, push_id)
        found: list[dict[str, Any]] = []
        async with aclosing(review.parts(resources.engine, push, classes=classes)) as parts:
            async for ends in parts:
                # One more tells that there are more.
                found += [outcome_shown(push, end) for end in ends[: limit + 1 - len(found)]]
                if len(found) > limit:
                    break
        return found

    found = session.run(work)
    shown, more = found[:limit], len(found) > limit
    hint = "There are more: --limit shows up to 1,000, --ndjson FILE writes all." if more else ""
    rows = [_row(one) for one in shown]
    result(
        {"outcomes": shown, "more": more},
        table(("device", *_COLUMNS.values()), rows) if rows else "No such outcomes yet.",
        *([hint] if hint else []),
        as_json=as_json,
    )


def _row(one: Mapping[str, Any]) -> Sequence[object]:
    end = one["token_end"]
    device = f"...{end}" if end else one["installation"] or "(deleted)"
    return [device, *(one[name] for name in _COLUMNS)]


def _export(push_id: str, classes: Collection[OutcomeClass], *, to: Path, as_json: bool) -> None:
    to_stdout = str(to) == "-"
    if to_stdout and as_json:
        message = "--json: The lines of `--ndjson -` are all that stdout can have. Leave it out."
        raise CommandError(message, code="usage", status=MISTAKE, field="--json")

    async def work(resources: Resources) -> tuple[Push, int]:
        async with resources.engine.connect() as connection:
            push = await watching.find_push(connection, push_id)
            counts = tally.total(await pushes.counts_of(connection, push))
        total = sum(n for one, n in counts.items() if one in classes)
        with opened(to, "wb", field="--ndjson") as file:
            return push, await _write(resources, push, classes, file=file, total=total)

    push, written = session.run(work)
    if to_stdout:
        sys.stdout.flush()
        return
    value = {"written": written, "file": str(to), "state": push.state.value}
    told = f"{written:,} outcomes of push {push.object_id} ({push.state}) are in {to}."
    result(value, told, as_json=as_json)


async def _write(
    resources: Resources,
    push: Push,
    classes: Collection[OutcomeClass],
    *,
    file: IO[bytes],
    total: int,
) -> int:
    """Write a line for each outcome, and show how far it is; return how many there were."""
    written = 0
    # On stderr, for stdout may be where the lines go.
    with progress(as_json=True) as bar:
        task = bar.add_task("outcomes", total=total)
        async for ends in review.parts(resources.engine, push, classes=classes):
            file.writelines(orjson.dumps(outcome_shown(push, end)) + b"\n" for end in ends)
            written += len(ends)
            bar.update(task, completed=written)
    return written
