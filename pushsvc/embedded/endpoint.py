"""Where a running server answers, published by its keeper."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pushsvc.embedded.home import Home
from pushsvc.embedded.lock import Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server that answers."""

    #: for SQLAlchemy (`postgresql+asyncpg://…`) or redis-py (`unix://…`)
    url: str
    socket: Path
    server_pid: int
    keeper_pid: int


def publish(home: Home, endpoint: Endpoint) -> Lock:
    """Put the endpoint in place at once, locked; it counts as long as the lock is held.

    The lock is what tells a live endpoint from the file of a keeper that was killed, and it is
    taken before the file has its name, so there is no moment at which it looks dead.
    """
    draft = home.endpoint.with_suffix(".new")
    draft.unlink(missing_ok=True)
    lock = Lock(draft)
    lock.wait_exclusive()
    draft.write_text(json.dumps(asdict(endpoint), default=str))
    draft.replace(home.endpoint)
    return lock


def read(home: Home) -> Endpoint | None:
    """Return the endpoint if its keeper lives."""
    try:
        lock = Lock(home.endpoint, create=False)
    except FileNotFoundError:
        return None
    with lock, open(lock.descriptor, closefd=False, encoding="utf-8") as file:
        if lock.try_shared():
            return None
        return parse(file.read())


def discard(home: Home) -> None:
    """Remove what a killed keeper left: the endpoint, and the directory of its socket."""
    try:
        place = parse(home.endpoint.read_text())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # None is left, or a power cut took its content, and /tmp's with it.
        return
    shutil.rmtree(place.socket.parent, ignore_errors=True)
    home.endpoint.unlink(missing_ok=True)


def parse(text: str) -> Endpoint:
    """Read what `publish` wrote."""
    fields: dict[str, Any] = json.loads(text)
    return Endpoint(**{**fields, "socket": Path(fields["socket"])})
