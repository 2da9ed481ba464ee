"""Each case shaped by us and by the published packages, and what it takes to agree."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pushsvc.model import Refused
from pushsvc.preview.request import request_of
from pushsvc.shaping.body import ContentError, Envelope, Form, Shaper, check_content
from pushsvc.shaping.content import shaping_of
from tests.integration.builders.cases import CREATED, NOW, Body, Case
from tests.integration.builders.changes import PUSH_ID, PUSH_OBJECT_ID
from tests.integration.builders.differences import Difference, Request
from tests.integration.builders.intended import TABLE
from tests.integration.builders.parse_server import adapter_body

HOME: Final = Path(__file__).parents[2] / "node-builders"
#: FCM's: https://protobuf.dev/reference/protobuf/google.protobuf/#duration
DURATION: Final = re.compile(r"\d+(\.\d+)?s")
#: Many times what it takes on an idle machine.
RUN_SECONDS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case in one form."""

    case: Case
    form: Form

    @property
    def applicable(self) -> list[Difference]:
        """The rows of the table that speak of it."""
        is_raw = self.form is not Form.APNS and self.case.body.get("rawPayload") is not None
        return [
            row
            for row in TABLE
            if self.form in row.forms and row.when(self.case) and (row.raw or not is_raw)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What both made of it; a string is why there is no request."""

    pair: Pair
    ours: Request | str
    theirs: Request | str


# ---------------------------------------------------------------- ours


def ours(pair: Pair) -> Request | str:
    """Return our request, or where or why it is refused."""
    case = pair.case
    content: Body = shaping_of(case.body)
    envelope = Envelope(
        push_id=PUSH_ID,
        push_object_id=PUSH_OBJECT_ID,
        created_at=CREATED,
        expires_at=case.expiry,
        now=NOW,
    )
    try:
        check_content(content)
    except ContentError as error:
        return error.field
    device = case.device(pair.form)
    shape = Shaper(content, envelope).shape(device)
    if isinstance(shape, Refused):
        return shape.reason
    request = request_of(device, shape)
    return _read(pair.form, request.headers, request.body)


def _read(form: Form, headers: dict[str, Any], body: Any) -> Request:
    """Return a request so that it can be compared: text that is JSON is read."""
    if form is Form.APNS:
        return {"headers": {key: str(value) for key, value in headers.items()}, "body": body}
    message = body["message"]
    if "android" in message:
        message["android"] = _durations(message["android"])
    data = message.get("android", {}).get("data", {})
    if "push_id" in data:
        data["data"] = json.loads(data["data"])
    return {"headers": {}, "body": body}


def _durations(value: Any) -> Any:
    """Return JSON with durations as Protobuf reads them: 0.5s is 0.500000000s."""
    if isinstance(value, dict):
        return {key: _durations(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_durations(part) for part in value]
    if isinstance(value, str) and DURATION.fullmatch(value):
        return f"{float(value[:-1])}s"
    return value


# ---------------------------------------------------------------- theirs


def theirs(asked: Iterable[tuple[Pair, Sequence[Difference]]]) -> Iterator[Request | str]:
    """Yield what the packages make of each pair when these rows of the table are applied."""
    asked = list(asked)
    lines = [json.dumps(_line(pair, rows)) for pair, rows in asked]
    # Rows that do not change the input all ask the same.
    unique = list(dict.fromkeys(lines))
    answers = dict(zip(unique, _built(unique), strict=True))
    for (pair, rows), line in zip(asked, lines, strict=True):
        yield _changed(pair, rows, json.loads(answers[line]))


def _built(lines: Sequence[str]) -> list[str]:
    """Return what the packages answer to each line; one process for all."""
    ended = subprocess.run(
        ["node", "build.mjs"],
        cwd=HOME,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"build.mjs failed:\n{ended.stderr}")
    # Not at U+2028, where Python ends a line, too.
    return ended.stdout.removesuffix("\n").split("\n")


def _line(pair: Pair, rows: Sequence[Difference]) -> dict[str, Any]:
    case, device = pair.case, pair.case.device(pair.form)
    body = adapter_body(case)
    for row in rows:
        row.given(case, pair.form, body)
    installation = {
        "deviceType": device.device_type,
        "deviceToken": device.token,
        "appIdentifier": case.app_identifier,
    }
    present = {key: value for key, value in installation.items() if value is not None}
    now = round(NOW.timestamp() * 1000)
    return {"form": pair.form, "body": body, "installation": present, "now": now}


def _changed(pair: Pair, rows: Sequence[Difference], answer: dict[str, Any]) -> Request | str:
    if "error" in answer:
        return f"the builder failed: {answer['error']}"
    request = _read(pair.form, answer["headers"], answer["body"])
    for row in rows:
        row.made(pair.case, pair.form, request)
    return request


# ---------------------------------------------------------------- both


def is_same(one: Request | str, other: Request | str) -> bool:
    """Tell whether two requests are the same JSON; true is not 1, but 1.0 is."""
    return canonical(one) == canonical(other)


def canonical(value: Any) -> str:
    """Return JSON as one text for each meaning."""
    return json.dumps(_plain(value), sort_keys=True, indent=1, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def told(pairs: Sequence[Pair]) -> list[Told]:
    """Return what both make of each pair: the whole table applied, or nothing where we refuse."""
    made = [ours(pair) for pair in pairs]
    asked = [
        (pair, [] if isinstance(own, str) else pair.applicable)
        for pair, own in zip(pairs, made, strict=True)
    ]
    return [
        Told(pair=pair, ours=own, theirs=built)
        for pair, own, built in zip(pairs, made, theirs(asked), strict=True)
    ]


def unaccounted(one: Told) -> str | None:
    """Return what differs and is in no row of the table, for people to read."""
    refusing = [row.refused for row in one.pair.applicable if row.refused]
    if isinstance(one.ours, str):
        # Nor where the builder fails, too: without the rows it does at most that is for Apple.
        if _refused_as(one.ours, refusing):
            return None
        return _report(one, f"we refuse it ({one.ours}), and no row says so")
    if refusing:
        return _report(one, f"we do not refuse it, and rows say so: {refusing}")
    return None if is_same(one.ours, one.theirs) else _report(one, "the requests differ")


def _refused_as(place: str, refusing: Sequence[str]) -> bool:
    return any(place == known or place.startswith(f"{known}/") for known in refusing)


def _report(one: Told, what: str) -> str:
    case = one.pair.case
    rows = ", ".join(row.name for row in one.pair.applicable)
    return (
        f"case {case.number}, {one.pair.form}: {what}\n"
        f"input: {json.dumps(case.body)}\n"
        f"locale {case.locale}, expires {case.expiry}, app {case.app_identifier}\n"
        f"rows: {rows}\nours: {canonical(one.ours)}\ntheirs, with these rows: "
        f"{canonical(one.theirs)}"
    )


def needed(tolds: Sequence[Told]) -> set[tuple[str, Form]]:
    """Return the rows, by form, without which some pair would differ."""
    found, expected, asked = set(), [], []
    for one in tolds:
        rows = one.pair.applicable
        for row in rows:
            if isinstance(one.ours, str):
                # A refusal makes a difference where the packages send something.
                if _refused_as(one.ours, [row.refused or "-"]) and isinstance(one.theirs, dict):
                    found.add((row.name, one.pair.form))
            else:
                expected.append((row, one))
                asked.append((one.pair, [other for other in rows if other is not row]))
    for (row, one), built in zip(expected, theirs(asked), strict=True):
        if not is_same(one.ours, built):
            found.add((row.name, one.pair.form))
    return found
