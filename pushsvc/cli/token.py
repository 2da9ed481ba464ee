"""`pushsvc token`: what happened to tokens; out of use by an operator's word, and into it again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.progress import Progress

from pushsvc import hygiene
from pushsvc.api.replies import moment_or_none
from pushsvc.api.v1 import token_views
from pushsvc.cli import session, watching
from pushsvc.cli.display import cell, progress, result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import Json
from pushsvc.model import App, Push, Standing
from pushsvc.resources import Resources
from pushsvc.storage import apps, token_events, token_undo
from pushsvc.storage.standing import installations_named
from pushsvc.storage.token_history import (
    HeldPush,
    TokenEvent,
    events_of,
    held_pushes,
)

#: Characters of a token that people tell it by; JSON has it in full.
TOKEN_SHOWN: Final = 12

Installation = Annotated[str, typer.Argument(help="Its objectId or installationId.")]
SomeApp = Annotated[
    str | None, typer.Option("--app", help="Name or application id of the app; all if not given.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count, and change nothing.")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def history(
    installation: Installation,
    *,
    app_name: SomeApp = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many events.")] = 20,
    as_json: Json = False,
) -> None:
    """Show where an installation's token stands, and what happened to it, newest first."""

    async def work(resources: Resources) -> tuple[App, Standing, list[TokenEvent]]:
        owner, standing = await _find(resources, installation, app_name)
        assert standing.id is not None
        async with resources.engine.connect() as connection:
            events = await events_of(connection, standing.id, before=None, limit=limit)
        return owner, standing, events

    owner, standing, events = session.run(work)
    shown = token_views.shown(standing, events, next_cursor=None)
    del shown["next_cursor"]
    rows = [
        (one.at, one.kind.value, _said(one), one.push, (one.token or "-")[:TOKEN_SHOWN])
        for one in events
    ]
    headings = ("at", "what", "said by", "push", "token begins")
    result(
        shown,
        table(("", f"installation {standing.object_id} of {owner.name}"), _rows(standing)),
        table(headings, rows) if rows else "Nothing has happened to it.",
        as_json=as_json,
    )


@app.command()
def held(
    *,
    app_name: SomeApp = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many pushes.")] = 20,
    as_json: Json = False,
) -> None:
    """List the pushes that spoke against too many tokens to be believed, newest first."""

    async def work(resources: Resources) -> list[HeldPush]:
        async with resources.engine.connect() as connection:
            owner = None if app_name is None else await session.app(connection, app_name)
            return await held_pushes(
                connection,
                app_id=None if owner is None else owner.id,
                days=resources.settings.token_history_days,
                limit=limit,
            )

    found = session.run(work)
    rows = [(one.push, one.app, one.finished_at, one.tokens) for one in found]
    value = [
        {
            "push": one.push,
            "app": one.app,
            "finished_at": moment_or_none(one.finished_at),
            "tokens_held": one.tokens,
        }
        for one in found
    ]
    result(
        {"pushes": value},
        table(("push", "app", "finished", "tokens held"), rows) if rows else "Nothing is held.",
        as_json=as_json,
    )


@app.command()
def retire(
    *,
    push_id: Annotated[str, typer.Option("--push", help="The push, from `token held`.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take out of use after all what a push spoke against: dead for good, suspected for days."""

    async def work(resources: Resources) -> int:
        push = await _push(resources, push_id)
        if push.state not in watching.ENDS:
            message = f"Push {push_id} is still on its way. Wait for its end: `pushsvc push watch`."
            raise CommandError(message, code="push_open", status=MISTAKE, field="--push")
        total = await token_events.count_overruled(resources.engine, push.id)
        if dry_run:
            return total
        with _counting("retiring", total, as_json=as_json) as counted:
            await hygiene.overrule(resources, push.id, told=counted)
        return counted.n

    count = session.run(work)
    told = f"{count:,} tokens {'would go' if dry_run else 'went'} out of use."
    result({"retired": count, "dry_run": dry_run}, told, as_json=as_json)


@app.command()
def restore(
    installation: Annotated[
        str | None, typer.Argument(help="Its objectId or installationId.")
    ] = None,
    *,
    push_id: Annotated[
        str | None, typer.Option("--push", help="All that went out of use by this push.")
    ] = None,
    app_name: Annotated[
        str | None, typer.Option("--app", help="With --since, all of the app; else the one meant.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="What went out of use since then, in ISO 8601 with a zone.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Take tokens into use again: of an installation, of a push, or of an app since a time."""
    moment = None if since is None else _moment(since)
    chosen = [one for one in (installation, push_id, since) if one is not None]
    if len(chosen) != 1 or (since is not None and app_name is None) or (push_id and app_name):
        message = "Give one of these: an installation, --push ID, or --app APP with --since TIME."
        raise CommandError(message, code="usage", status=MISTAKE)

    async def choose(resources: Resources) -> token_undo.Choice:
        if installation is not None:
            _, standing = await _find(resources, installation, app_name)
            assert standing.id is not None
            return token_undo.OfInstallation(standing.id)
        if push_id is not None:
            return token_undo.OfPush((await _push(resources, push_id)).id)
        assert app_name is not None
        assert moment is not None
        async with resources.engine.connect() as connection:
            return token_undo.OfApp((await session.app(connection, app_name)).id, moment)

    async def work(resources: Resources) -> int:
        choice = await choose(resources)
        total = await token_undo.count(resources.engine, choice)
        if dry_run:
            return total
        with _counting("restoring", total, as_json=as_json) as counted:
            await hygiene.restore(resources, choice, told=counted)
        return counted.n

    count = session.run(work)
    told = f"{count:,} tokens {'would come' if dry_run else 'came'} into use again."
    result({"restored": count, "dry_run": dry_run}, told, as_json=as_json)


class _Counted:
    """Adds up the tokens that changed, and shows how far it is."""

    def __init__(self, bar: Progress, title: str, total: int) -> None:
        self.n = 0
        self._bar = bar
        self._task = bar.add_task(title, total=total)

    def __call__(self, changed: int) -> None:
        self.n += changed
        self._bar.advance(self._task, changed)


@contextmanager
def _counting(title: str, total: int, *, as_json: bool) -> Iterator[_Counted]:
    with progress(as_json=as_json) as bar:
        yield _Counted(bar, title, total)


async def _push(resources: Resources, push_id: str) -> Push:
    async with resources.engine.connect() as connection:
        push, _, _ = await watching.find(connection, push_id, field="--push")
    return push


async def _find(resources: Resources, name: str, app_name: str | None) -> tuple[App, Standing]:
    """Return the installation with this id, and whose it is.

    Raises:
        CommandError: there is none, or several apps have one.
    """
    async with resources.engine.connect() as connection:
        if app_name is None:
            owners = await apps.list_apps(connection)
        else:
            owners = [await session.app(connection, app_name)]
        ids = [owner.id for owner in owners]
        found = await installations_named(connection, name, app_ids=ids)
    if not found:
        where = f"App {app_name} has" if app_name else "There is"
        message = f"{where} no installation with the objectId or installationId {name!r}."
        raise CommandError(
            message, code="unknown_installation", status=MISTAKE, field="INSTALLATION"
        )
    if len(found) > 1:
        names = ", ".join(sorted(owner.name for owner in owners if owner.id in found))
        message = f"Several apps have an installation {name!r}: {names}. Name one with --app."
        raise CommandError(message, code="ambiguous", status=MISTAKE, field="--app")
    [(app_id, standing)] = found.items()
    return next(owner for owner in owners if owner.id == app_id), standing


def _moment(since: str) -> datetime:
    """Read a time with its zone.

    Raises:
        CommandError: it is none.
    """
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        message = (
            f"--since: {since!r} is no time in ISO 8601 with a zone, 2026-12-24T18:00:00Z say."
        )
        raise CommandError(message, code="usage", status=MISTAKE, field="--since")
    return moment


def _said(event: TokenEvent) -> str:
    return " ".join(word for word in (event.gateway, event.reason) if word) or "-"


def _rows(standing: Standing) -> list[tuple[str, str]]:
    held = [
        ("installation id", standing.installation_id),
        ("token", standing.token or None),
        ("state", standing.token_state.value),
        ("registered", standing.token_set_at),
        ("out of use since", standing.token_retired_at),
        ("quarantined until", standing.quarantined_until),
    ]
    return [(name, cell(value)) for name, value in held if value is not None]
