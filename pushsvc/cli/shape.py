"""`pushsvc shape`: what a gateway would be sent, with no server at all."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pushsvc.cli import output
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.json_files import Document, documents
from pushsvc.errors import CallerError
from pushsvc.preview.offline import OfflinePush

app = typer.Typer(add_completion=False)

INSTALLATION: Final = "--installation"
BODY: Final = "--body"
NOW: Final = "--now"


@app.command()
def shape(
    *,
    installation: Annotated[
        Path, typer.Option(help="Installations in Parse's form: JSON, or a line each; - for stdin.")
    ],
    body: Annotated[
        Path, typer.Option(help="Bodies of POST /push: JSON, or a line each; - for stdin.")
    ],
    now: Annotated[
        str | None,
        typer.Option(help="When the push is submitted: 2026-12-24T18:00:00Z; now if not given."),
    ] = None,
) -> None:
    """Show what a gateway would be sent, without any server: always JSON, an object on each line.

    One installation with each body, one body with each installation, or line by line.
    """
    if str(installation) == str(body) == "-":
        message = f"{INSTALLATION} and {BODY}: only one of them can be stdin. Name a file."
        raise CommandError(message, code="usage", status=MISTAKE, field=BODY)
    with (
        closing(documents(installation, field=INSTALLATION)) as devices,
        closing(documents(body, field=BODY)) as bodies,
    ):
        several = _Several(devices), _Several(bodies)
        shaping = _Shaping(*several, now=_moment(now))
        for device, asked in _pairs(*several):
            output.json_line(shaping.line(device, asked))


class _Several:
    """The objects of a file; two are read ahead, which tells whether there are several."""

    def __init__(self, found: Iterator[Document]) -> None:
        ahead = [one for _, one in zip(range(2), found, strict=False)]
        self.is_several = len(ahead) > 1
        self.first = ahead[0]
        self._all = chain(ahead, found)

    def __iter__(self) -> Iterator[Document]:
        return self._all


def _pairs(devices: _Several, bodies: _Several) -> Iterator[tuple[Document, Document]]:
    """Yield which installation goes with which body.

    Raises:
        CommandError: there are several of both, and not as many.
    """
    if not bodies.is_several:
        yield from ((device, bodies.first) for device in devices)
    elif not devices.is_several:
        yield from ((devices.first, body) for body in bodies)
    else:
        for device, body in zip_longest(devices, bodies):
            if device is None or body is None:
                more, fewer = (INSTALLATION, BODY) if body is None else (BODY, INSTALLATION)
                message = f"{more} has more than {fewer}: give one of either, or as many of both."
                raise CommandError(message, code="usage", status=MISTAKE, field=more)
            yield device, body


class _Shaping:
    """Makes the lines; a push is shaped once for the installations that follow each other."""

    def __init__(self, devices: _Several, bodies: _Several, *, now: datetime) -> None:
        self._devices = devices
        self._bodies = bodies
        self._now = now
        self._made: tuple[Document, OfflinePush] | None = None

    def line(self, device: Document, body: Document) -> dict[str, Any]:
        """Return the line of one installation and one body.

        What the API would refuse is told in the line where its file holds several.

        Raises:
            CommandError: it holds this one alone.
        """
        try:
            push = self._push(body)
        except CallerError as error:
            return _refused(error, body, self._bodies)
        try:
            return asdict(push.request(device.value, number=device.number))
        except CallerError as error:
            return _refused(error, device, self._devices)

    def _push(self, body: Document) -> OfflinePush:
        if self._made is None or self._made[0] is not body:
            self._made = body, OfflinePush(body.value, now=self._now, number=body.number)
        return self._made[1]


def _refused(error: CallerError, document: Document, file: _Several) -> dict[str, Any]:
    if file.is_several:
        told = {"code": error.parse_number, "field": error.field, "message": error.detail}
        return {"error": told}
    field = f"{error.field}: " if error.field else ""
    message = f"{document.place}: {field}{error.detail}"
    raise CommandError(message, code=error.code, status=MISTAKE, field=error.field) from error


def _moment(text: str | None) -> datetime:
    """Return the moment that is meant by --now.

    Raises:
        CommandError: it is none, or has no zone.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    message = f"{NOW}: must be a time in ISO 8601 with its zone, such as 2026-12-24T18:00:00Z."
    raise CommandError(message, code="usage", status=MISTAKE, field=NOW)
