"""A push as `/v1` takes it becomes a submission."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pushsvc.api.v1.bodies import AUDIENCES, NewPush
from pushsvc.model import Lane, OnUnknown, Source, Submission

LANES: Final[Mapping[str | None, Lane | None]] = {
    "urgent": Lane.URGENT,
    "normal": Lane.BULK,
    None: None,
}
#: To whom, when and how; all else of a body is its content.
_BESIDE_CONTENT: Final = frozenset(
    {
        *AUDIENCES,
        *("push_time", "expiration_time", "expiration_interval", "priority", "on_unknown"),
    }
)
CONTENT_KEYS: Final = tuple(name for name in NewPush.model_fields if name not in _BESIDE_CONTENT)


def submission_of(
    asked: NewPush, *, key: str | None = None, request_hash: bytes | None = None
) -> Submission:
    """Return the submission of a body, with what tells a repeated request from another."""
    return Submission(
        source=Source.V1,
        audience=_audience(asked),
        content=_given(asked, CONTENT_KEYS),
        push_time=asked.push_time,
        expiration_time=asked.expiration_time,
        expiration_interval=asked.expiration_interval,
        lane=LANES[asked.priority],
        on_unknown=OnUnknown(asked.on_unknown),
        idempotency_key=key,
        request_hash=request_hash,
    )


def _audience(asked: NewPush) -> dict[str, Any]:
    if asked.devices is not None:
        return {"devices": [device.model_dump(exclude_none=True) for device in asked.devices]}
    return _given(asked, ("channels", "where"))


def _given(asked: NewPush, names: Iterable[str]) -> dict[str, Any]:
    values = {name: getattr(asked, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
