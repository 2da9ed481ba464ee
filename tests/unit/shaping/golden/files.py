"""Golden files: what one device is sent of one push, row by row of the tables, reviewed by hand.

A file holds `why` (one sentence, and where that is written), `installation` and `body` in Parse's
form, `now` where it is not NOW, and what is `expected`: a request; `{"refused": reason}` for a
device that gets nothing; `{"error": ...}` for a body that is not let in. A long text is written
`{"$repeat": "a", "times": 4000}`, between what stands around it in `{"$join": [...]}`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pushsvc.errors import CallerError
from pushsvc.preview.offline import OfflinePush, Unsent
from pushsvc.shaping.fcm_kinds import Record

DIRECTORY = Path(__file__).parent
NOW = "2026-11-22T10:00:00Z"
#: Of a request; the sizes are told by the tests of limits.
COMPARED = ("gateway", "method", "path", "headers", "body")


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One file."""

    path: Path
    why: str
    installation: dict[str, Any]
    body: dict[str, Any]
    now: datetime
    expected: dict[str, Any]

    @property
    def name(self) -> str:
        """Gateway and row: apns/sound."""
        return f"{self.path.parent.name}/{self.path.stem}"

    @property
    def is_sent(self) -> bool:
        """Tell whether a request is expected."""
        return "gateway" in self.expected


def read(path: Path) -> Golden:
    """Read one file."""
    told = written_out(json.loads(path.read_text(encoding="utf-8")))
    now = datetime.fromisoformat(told.pop("now", NOW))
    return Golden(path=path, now=now, **told)


def all_goldens() -> list[Golden]:
    """Every file, in order."""
    return [read(path) for path in sorted(DIRECTORY.glob("*/*.json"))]


def written_out(value: Any) -> Any:
    """The value with its long texts in full."""
    if isinstance(value, dict):
        if "$repeat" in value:
            return value["$repeat"] * value["times"]
        if "$join" in value:
            return "".join(map(written_out, value["$join"]))
        return {key: written_out(part) for key, part in value.items()}
    return [written_out(part) for part in value] if isinstance(value, list) else value


def made_of(golden: Golden) -> dict[str, Any]:
    """What our code makes of the file's installation and body, in the form of `expected`."""
    try:
        push = OfflinePush(golden.body, now=golden.now)
        made = push.request(golden.installation)
    except CallerError as error:
        told = {"code": error.parse_number, "field": error.field, "message": error.detail}
        return {"error": told}
    if isinstance(made, Unsent):
        return {"refused": made.refused}
    request = asdict(made)
    return {key: request[key] for key in COMPARED}


def text_of(value: Any) -> str:
    """JSON in which only what differs to a gateway differs: 1 and true and 1.0 do, order does not.

    The order of keys within `expected` is free; texts are compared as they are.
    """
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)


def fields_of(record: Record, where: str) -> Iterator[str]:
    """Yield the places of FCM's fields in a message."""
    for name, kind in record.fields.items():
        yield f"{where}/{name}"
        if isinstance(kind, Record):
            yield from fields_of(kind, f"{where}/{name}")
