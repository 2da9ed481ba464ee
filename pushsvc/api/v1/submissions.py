"""A push as `/v1` takes it becomes a submission."""

from collections.abc import Mapping
from typing import Any, Final

from pushsvc.api.v1.bodies import Device, NewPush, content_of
from pushsvc.model import Lane, Late, OnUnknown, Source, Submission

LANES: Final[Mapping[str | None, Lane | None]] = {
    "urgent": Lane.URGENT,
    "normal": Lane.BULK,
    None: None,
}


def submission_of(
    asked: NewPush, *, key: str | None = None, request_hash: bytes | None = None
) -> Submission:
    """Return the submission of a body, with what tells a repeated request from another."""
    return Submission(
        source=Source.V1,
        audience=_audience(asked),
        content=content_of(asked),
        push_time=asked.push_time,
        late=Late(asked.late),
        expiration_time=asked.expiration_time,
        expiration_interval=asked.expiration_interval,
        lane=LANES[asked.priority],
        on_unknown=OnUnknown(asked.on_unknown),
        rate_per_minute=asked.rate_per_minute,
        idempotency_key=key,
        request_hash=request_hash,
    )


def _audience(asked: NewPush) -> dict[str, Any]:
    if asked.devices is not None:
        return {"devices": [_device(device) for device in asked.devices]}
    if asked.where is not None:
        return {"where": asked.where}
    return {"channels": asked.channels}


def _device(device: Device) -> dict[str, Any]:
    """Return the keys that are given; not by model_dump, which costs as much as to read them."""
    return {name: value for name, value in vars(device).items() if value is not None}
