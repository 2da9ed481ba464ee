"""What one installation would be sent of one push, both in Parse's form; pure.

There is no server to ask: what it would number is numbered here by the caller, and a push is
submitted and due by a time that is given. All else is what the service does with them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from pushsvc.delivery.apns.client import BAD_DEVICE_TOKEN, is_device_token
from pushsvc.delivery.dispatch import EXPIRED, NO_TOKEN
from pushsvc.delivery.wns import channel
from pushsvc.errors import InvalidInstallationError, InvalidPushError
from pushsvc.model import BadgeChange, Device, GatewayName, Json, Refused, Source, Submission
from pushsvc.planning import schedule
from pushsvc.planning.localtime import moment_of, zone_of
from pushsvc.preview.request import GatewayRequest, request_of
from pushsvc.shaping.body import (
    ContentError,
    Envelope,
    Shaper,
    badge_change,
    check_content,
    gateway_of,
)
from pushsvc.shaping.content import shaping_of
from pushsvc.storage.devices import address_of
from pushsvc.storage.fields import (
    BADGE,
    BADGE_RANGE,
    COLUMNS,
    CREATED_AT,
    OBJECT_ID,
    UNSET,
    UPDATED_AT,
    VALUE_CHARACTERS,
    changed,
    parse_installation_fields,
)

#: Stands for the object id that a push gets when it is stored.
OBJECT_ID_OF_PUSH: Final = "pushsvc000"

_BAD_TOKEN: Final = Refused(reason=BAD_DEVICE_TOKEN.reason)
_NO_TOKEN: Final = Refused(reason=NO_TOKEN.reason)
_EXPIRED: Final = Refused(reason=EXPIRED.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """A device that gets nothing of a push, and the reason that the ledger would have."""

    #: None where no gateway reaches such a device
    gateway: GatewayName | None
    refused: str


class OfflinePush:
    """A push that was let in, and is due."""

    def __init__(self, body: Json, *, now: datetime, number: int = 1) -> None:
        """Check a push in Parse's form; whom it is for is read over.

        Args:
            body: of `POST /push`.
            now: when it is submitted.
            number: stands for the push's id, of which `apns-id` is made.

        Raises:
            InvalidPushError: what the API would answer.
        """
        content, submission = _submission(body)
        with _told():
            schedule.read_times(submission)
            if isinstance(content["data"], dict):
                badge_change(content)
            check_content(content)
            times = schedule.resolve(submission, now=now)
        self._content, self._times = content, times
        self._envelope = Envelope(
            push_id=number,
            push_object_id=OBJECT_ID_OF_PUSH,
            created_at=now,
            expires_at=None,
            now=now,
        )
        #: by when the push is sent, and until when it may be: in local time there are some forty
        self._shapers: dict[tuple[datetime, datetime | None], Shaper] = {}
        self._badge = badge_change(content)

    def request(self, installation: Json, *, number: int = 1) -> GatewayRequest | Unsent:
        """Return what the installation would be sent.

        Args:
            installation: in Parse's form.
            number: stands for the installation's id, of which `apns-id` is made.

        Raises:
            InvalidInstallationError: the API would not store it.
        """
        device = _device(installation, self._badge)
        gateway = gateway_of(device)
        if not device.token:
            return _unsent(gateway, _NO_TOKEN)
        due_at = self._due_at(installation)
        # A wave that is past goes out at once.
        sent_at = max(due_at, self._envelope.now)
        expires_at = schedule.of_wave(self._times, due_at)
        if expires_at is not None and expires_at <= sent_at:
            return _unsent(gateway, _EXPIRED)
        shape = self._shaper_at(sent_at, expires_at).shape(device)
        refused = shape if isinstance(shape, Refused) else _unreachable(device, gateway)
        if refused is not None:
            return _unsent(gateway, refused)
        assert not isinstance(shape, Refused)
        return request_of(device, shape, key=number)

    def _due_at(self, installation: Json) -> datetime:
        """Return when the push is due there; in local time without a zone as in the first one."""
        zone = zone_of(installation.get("timeZone"))
        if self._times.local_time is None or zone is None:
            return self._times.due_at
        return moment_of(self._times.local_time, zone)

    def _shaper_at(self, sent_at: datetime, expires_at: datetime | None) -> Shaper:
        times = sent_at, expires_at
        if times not in self._shapers:
            envelope = replace(self._envelope, expires_at=expires_at, now=sent_at)
            self._shapers[times] = Shaper(self._content, envelope)
        return self._shapers[times]


def _unsent(gateway: GatewayName | None, refused: Refused) -> Unsent:
    return Unsent(gateway=gateway, refused=refused.reason)


def _unreachable(device: Device, gateway: GatewayName | None) -> Refused | None:
    """Return why the gateway's client would not ask the gateway."""
    if gateway is GatewayName.APNS:
        return None if is_device_token(device.token) else _BAD_TOKEN
    answer = channel.refusal(device.token) if gateway is GatewayName.WNS else None
    return None if answer is None else Refused(reason=answer.reason)


# ---------------------------------------------------------------- the push


def _submission(body: Json) -> tuple[dict[str, Any], Submission]:
    if body.get("template") is not None:
        message = "Templates are stored in a server: write out what the template says."
        raise InvalidPushError(message, field="/template")
    content = shaping_of(body)
    times = schedule.given_times(body)
    return content, Submission(source=Source.PARSE, audience={}, content=content, **times)


@contextmanager
def _told() -> Iterator[None]:
    """Turn what the stages refuse into what the caller is told."""
    try:
        yield
    except ContentError as error:
        raise InvalidPushError(error.message, field=error.field) from error
    except schedule.ScheduleError as error:
        code = error.parse_code
        raise InvalidPushError(error.message, field=error.field, parse_code=code) from error


# ---------------------------------------------------------------- the installation


def _device(installation: Json, change: BadgeChange | None) -> Device:
    """Return the device as it is when its message is made: its badge has changed by then."""
    sent = changed(parse_installation_fields(installation), {})
    fields = {name: value for name, value in sent.items() if value is not UNSET}
    if "deviceType" not in fields:
        message = "deviceType must be specified"
        raise InvalidInstallationError(message, field="/deviceType", parse_code=135)
    fields[BADGE] = _badge_after(fields.get(BADGE, 0), change)
    return Device(
        0,
        fields["deviceType"],
        address_of(
            fields["deviceType"],
            fields.get("pushType"),
            token=fields.get("deviceToken"),
            channels=fields.get("channelUris"),
        ),
        fields.get("appIdentifier"),
        fields.get("localeIdentifier"),
        fields[BADGE],
        fields.get("pushType"),
        {name: _as_read(name, value) for name, value in fields.items() if _is_kept(name, value)},
    )


def _badge_after(badge: int, change: BadgeChange | None) -> int:
    if change is None:
        return badge
    if change.absolute is not None:
        return change.absolute
    assert change.increment is not None
    return min(max(badge + change.increment, 0), BADGE_RANGE[-1])


def _as_read(name: str, value: Any) -> Any:
    if name in {CREATED_AT, UPDATED_AT}:
        return schedule.iso(datetime.fromisoformat(value).astimezone(UTC))
    return dict(value) if isinstance(value, Mapping) else value


def _is_kept(name: str, value: Any) -> bool:
    """Tell whether texts get to see a field: nulls and long custom values count as missing."""
    if value is None:
        return False
    own = name in COLUMNS or name in {BADGE, OBJECT_ID, CREATED_AT, UPDATED_AT}
    return own or len(orjson.dumps(value).decode()) <= VALUE_CHARACTERS
